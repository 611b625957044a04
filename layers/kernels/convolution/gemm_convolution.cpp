// Convolution as matrix products, of any type and any options. Over the plain loops:
//   1. im2col: a window becomes a column, so that the sums are one matrix product, by OpenBLAS.
//   2. blocks of columns that the L2 cache holds: the im2col matrix of a batch would go by memory twice.
//   3. images of a few pixels share a block: a product with a handful of columns is slow.
//   4. a 1x1 kernel, whose im2col matrix is the image, copies nothing.
#include <algorithm>

#include "strata/framework/runtime/blas.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/convolution/algorithms.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/scratch.hpp"

namespace strata::kernels {
namespace {

// A block of output positions: all of several small images, or a part of a large one. It has one column for
// each position.
struct Block {
  Index image;
  Index images;
  Index begin;  // positions within the image
  Index end;

  Index positions() const { return end - begin; }
  Index columns() const { return images * positions(); }
};

// Cuts the batch into blocks whose im2col matrix stays in the L2 cache.
class Blocks {
 public:
  Blocks(const ConvolutionShape& shape, Index element_bytes) : batch_(shape.batch), size_(shape.out_size()) {
    constexpr Index kMatrixBytes = Index{256} << 10;
    const Index columns =
        std::clamp<Index>(kMatrixBytes / (shape.filter_size() * element_bytes), 64, 4096) / 16 * 16;
    constexpr Index kWideEnough = 128;  // for a fast matrix product; several images would have to be gathered
    images_ = size_ >= kWideEnough ? 1 : std::clamp<Index>(columns / size_, 1, batch_);
    const Index parts = images_ > 1 ? 1 : ceil_div(size_, columns);
    part_size_ = round_up(ceil_div(size_, parts), 16);
    parts_ = ceil_div(size_, part_size_);
  }

  Index count() const { return groups_of_images() * parts_; }
  /// Images in a block, and groups of so many in the batch.
  Index images() const { return images_; }
  Index groups_of_images() const { return ceil_div(batch_, images_); }
  Index parts() const { return parts_; }
  Index max_columns() const { return images_ * std::min(part_size_, size_); }

  Block operator[](Index i) const {
    const Index image = i / parts_ * images_, begin = i % parts_ * part_size_;
    return {image, std::min(images_, batch_ - image), begin, std::min(size_, begin + part_size_)};
  }

 private:
  Index batch_;
  Index size_;
  Index images_;
  Index part_size_;
  Index parts_;
};

// The im2col matrix of a 1x1 kernel is the image itself.
bool is_pointwise(const ConvolutionShape& s) {
  return s.kernel == Size2D(1) && s.stride == Size2D(1) && s.padding == Size2D(0) && s.in == s.out;
}

// For the filter tap (i, j), walks over the output positions [begin, end) row by row and calls
// row(first, inside_begin, inside_end, last, offset): the positions [inside_begin, inside_end) of
// [first, last), counted from `begin`, see input pixels, starting at `offset` and stride.w apart.
template <class Row>
void for_each_output_row(const ConvolutionShape& s, Index i, Index j, Index begin, Index end,
                         const Row& row) {
  const Index shift = j * s.dilation.w - s.padding.w;
  const Index inside_begin = shift >= 0 ? 0 : ceil_div(-shift, s.stride.w);
  const Index inside_end = shift >= s.in.w ? 0 : ceil_div(s.in.w - shift, s.stride.w);
  Index p = begin / s.out.w, q = begin % s.out.w;
  for (Index first = begin; first < end; ++p, q = 0) {
    const Index q_end = std::min(s.out.w, q + end - first);
    const Index last = first + q_end - q;
    const Index y = p * s.stride.h - s.padding.h + i * s.dilation.h;
    Index from = std::clamp(inside_begin, q, q_end), to = std::clamp(inside_end, from, q_end);
    if (y < 0 || y >= s.in.h) from = to = q;
    const Index base = first - begin - q;
    row(first - begin, base + from, base + to, last - begin, y * s.in.w + from * s.stride.w + shift);
    first = last;
  }
}

// columns[(c,i,j), p] = image[c, pixel that tap (i, j) sees at p]; rows are `ld` apart.
template <class T>
void im2col(const ConvolutionShape& s, const T* image, Index channels, Index begin, Index end, T* columns,
            Index ld) {
  for (Index c = 0; c < channels; ++c, image += s.in_size())
    for (Index i = 0; i < s.kernel.h; ++i)
      for (Index j = 0; j < s.kernel.w; ++j, columns += ld)
        for_each_output_row(s, i, j, begin, end,
                            [&](Index first, Index from, Index to, Index last, Index offset) {
                              std::fill(columns + first, columns + from, T{0});
                              if (s.stride.w == 1)
                                std::copy_n(image + offset, to - from, columns + from);
                              else
                                for (Index p = from; p < to; ++p, offset += s.stride.w)
                                  columns[p] = image[offset];
                              std::fill(columns + to, columns + last, T{0});
                            });
}

// The transpose of im2col: adds every column's element to the pixel that it came from.
template <class T>
void col2im(const ConvolutionShape& s, const T* columns, Index ld, Index channels, Index begin, Index end,
            T* image) {
  for (Index c = 0; c < channels; ++c, image += s.in_size())
    for (Index i = 0; i < s.kernel.h; ++i)
      for (Index j = 0; j < s.kernel.w; ++j, columns += ld)
        for_each_output_row(s, i, j, begin, end, [&](Index, Index from, Index to, Index, Index offset) {
          for (Index p = from; p < to; ++p, offset += s.stride.w) image[offset] += columns[p];
        });
}

// A matrix in memory: element (row, column) is data[row * ld + column].
template <class T>
struct Matrix {
  T* data;
  Index ld;
};

// The rows of a (channels, columns) matrix of a block of an activation (batch, all_channels, size): in place
// if the block lies in one image, else gathered in `scratch`.
template <class T>
Matrix<const T> gather(const T* activation, Index all_channels, Index channels, Index size,
                       const Block& block, T* scratch) {
  const T* first = activation + block.image * all_channels * size + block.begin;
  if (block.images == 1) return {first, size};
  for (Index n = 0; n < block.images; ++n)
    for (Index c = 0; c < channels; ++c)
      std::copy_n(first + (n * all_channels + c) * size, size, scratch + c * block.columns() + n * size);
  return {scratch, block.columns()};
}

// The im2col matrix of a block of x, whose channels start at `x`.
template <class T>
Matrix<const T> columns_of(const ConvolutionShape& s, const T* x, const Block& block, T* scratch) {
  if (is_pointwise(s)) return gather(x, s.in_channels, s.group_in_channels(), s.in_size(), block, scratch);
  for (Index n = 0; n < block.images; ++n)
    im2col(s, x + (block.image + n) * s.in_channels * s.in_size(), s.group_in_channels(), block.begin,
           block.end, scratch + n * block.positions(), block.columns());
  return {scratch, block.columns()};
}

template <class T>
void forward(const ConvolutionShape& s, const ImageSource<T>& x, const T* weight, const T* bias,
             const ImageSink<T>& y) {
  const Blocks blocks(s, sizeof(T));
  const Index in = s.group_in_channels(), out = s.group_out_channels(), taps = s.filter_size();
  parallel_for(blocks.count(), [&](Index piece) {
    const Block block = blocks[piece];
    Scratch<T> column_scratch(taps * block.columns());
    Scratch<T> product_scratch(block.images > 1 ? out * block.columns() : 0);
    for (Index g = 0; g < s.groups; ++g) {
      const auto columns = columns_of(s, x.tensor() + g * in * s.in_size(), block, column_scratch.data());
      T* first = y.tensor + (block.image * s.out_channels + g * out) * s.out_size() + block.begin;
      const bool in_place = block.images == 1;
      const Matrix<T> product =
          in_place ? Matrix<T>{first, s.out_size()} : Matrix<T>{product_scratch.data(), block.columns()};
      if (bias)
        for (Index k = 0; k < out; ++k)
          std::fill_n(product.data + k * product.ld, block.columns(), bias[g * out + k]);
      gemm<T>(Transpose::no, Transpose::no, out, block.columns(), taps, 1, weight + g * out * taps, taps,
              columns.data, columns.ld, bias ? 1 : 0, product.data, product.ld);
      if (in_place) continue;
      for (Index n = 0; n < block.images; ++n)
        for (Index k = 0; k < out; ++k)
          std::copy_n(product.data + k * product.ld + n * s.out_size(), s.out_size(),
                      first + (n * s.out_channels + k) * s.out_size());
    }
  });
}

template <class T>
void backward_data(const ConvolutionShape& s, const ImageSource<T>& dy, const T* weight, const T* bias,
                   const ImageSink<T>& dx) {
  const Blocks blocks(s, sizeof(T));
  const Index in = s.group_in_channels(), out = s.group_out_channels(), taps = s.filter_size();
  const Index window = s.kernel.h * s.kernel.w;
  // The blocks of an image overlap in dx, so one piece takes them in order. A small batch is cut by channels.
  const Index slices = std::min(in, ceil_div(8, blocks.groups_of_images()));
  const Index slice = ceil_div(in, slices);
  parallel_for(blocks.groups_of_images() * slices, [&](Index piece) {
    const Index begin = piece % slices * slice, channels = std::min(slice, in - begin);
    if (channels <= 0) return;
    Scratch<T> gradient_scratch(blocks.images() > 1 ? out * blocks.max_columns() : 0);
    Scratch<T> column_scratch(channels * window * blocks.max_columns());
    for (Index g = 0; g < s.groups; ++g)
      for (Index part = 0; part < blocks.parts(); ++part) {
        const Block block = blocks[piece / slices * blocks.parts() + part];
        T* first = dx.tensor + (block.image * s.in_channels + g * in + begin) * s.in_size();
        if (part == 0)
          for (Index n = 0; n < block.images; ++n)
            for (Index c = 0; c < channels; ++c)
              std::fill_n(first + (n * s.in_channels + c) * s.in_size(), s.in_size(),
                          bias ? bias[g * in + begin + c] : T{0});
        const auto gradient = gather(dy.tensor() + g * out * s.out_size(), s.out_channels, out, s.out_size(),
                                     block, gradient_scratch.data());
        const bool in_place = is_pointwise(s) && block.images == 1;
        const Matrix<T> columns = in_place ? Matrix<T>{first + block.begin, s.in_size()}
                                           : Matrix<T>{column_scratch.data(), block.columns()};
        gemm<T>(Transpose::yes, Transpose::no, channels * window, block.columns(), out, 1,
                weight + g * out * taps + begin * window, taps, gradient.data, gradient.ld, in_place ? 1 : 0,
                columns.data, columns.ld);
        if (in_place) continue;
        for (Index n = 0; n < block.images; ++n)
          col2im(s, columns.data + n * block.positions(), columns.ld, channels, block.begin, block.end,
                 first + n * s.in_channels * s.in_size());
      }
  });
}

template <class T>
void backward_weights(const ConvolutionShape& s, const ImageSource<T>& x, const ImageSource<T>& dy,
                      T* dweight) {
  const Blocks blocks(s, sizeof(T));
  const Index in = s.group_in_channels(), out = s.group_out_channels(), taps = s.filter_size();
  const Index count = s.out_channels * taps;
  constexpr Index kMaxPartials = 8;
  const Index per_partial = ceil_div(blocks.count(), kMaxPartials);
  const Index partials = ceil_div(blocks.count(), per_partial);
  Scratch<T> others((partials - 1) * count);
  parallel_for(partials, [&](Index partial) {
    T* sum = partial == 0 ? dweight : others.data() + (partial - 1) * count;
    Scratch<T> column_scratch(taps * blocks.max_columns());
    Scratch<T> gradient_scratch(blocks.images() > 1 ? out * blocks.max_columns() : 0);
    const Index first = partial * per_partial, last = std::min(first + per_partial, blocks.count());
    for (Index b = first; b < last; ++b)
      for (Index g = 0; g < s.groups; ++g) {
        const Block block = blocks[b];
        const auto columns = columns_of(s, x.tensor() + g * in * s.in_size(), block, column_scratch.data());
        const auto gradient = gather(dy.tensor() + g * out * s.out_size(), s.out_channels, out, s.out_size(),
                                     block, gradient_scratch.data());
        gemm<T>(Transpose::no, Transpose::yes, out, taps, block.columns(), 1, gradient.data, gradient.ld,
                columns.data, columns.ld, b == first ? 0 : 1, sum + g * out * taps, taps);
      }
  });
  if (partials == 1) return;
  parallel_ranges(count, Index{1} << 15, [&](Index begin, Index end) {
    for (Index partial = 1; partial < partials; ++partial) {
      const T* other = others.data() + (partial - 1) * count;
      for (Index i = begin; i < end; ++i) dweight[i] += other[i];
    }
  });
}

bool can(const ConvolutionShape& /*shape*/) {
  return true;
}
bool can_backward_data(const ConvolutionShape& /*shape*/, ImageLayout /*dx*/) {
  return true;
}

template <class T>
constexpr ConvolutionAlgorithm<T> kAlgorithm{"gemm",           can, forward<T>,         can_backward_data,
                                             backward_data<T>, can, backward_weights<T>};

}  // namespace

constinit const ConvolutionAlgorithm<float> kGemm = kAlgorithm<float>;
constinit const ConvolutionAlgorithm<double> kGemmOfDoubles = kAlgorithm<double>;

}  // namespace strata::kernels
