#include "strata/layers/kernels/winograd_convolution.hpp"

#include <algorithm>

#include "strata/framework/blas.hpp"
#include "strata/framework/instruction_set.hpp"
#include "strata/framework/parallel.hpp"
#include "strata/layers/kernels/scratch.hpp"
#include "strata/layers/kernels/winograd.hpp"

namespace strata::kernels {
namespace {

constexpr Index kFrequencies = 36;

constexpr Index ceil_div(Index a, Index b) {
  return (a + b - 1) / b;
}
constexpr Index round_up(Index a, Index b) {
  return ceil_div(a, b) * b;
}

// Some tile rows of one image, or all of several images.
struct Block {
  Index image;
  Index images;
  Index first_row;
  Index rows;
};

// The tiles of 4x4 outputs of a batch, and their division into blocks: the smaller a block is, the better its
// matrices fit the L2 cache, and the less its matrix products make of what they load.
class Tiling {
 public:
  Tiling(Index batch, Size2D out, Index tiles_a_block)
      : batch_(batch), rows_(ceil_div(out.h, 4)), columns_(ceil_div(out.w, 4)) {
    images_ = std::clamp<Index>(tiles_a_block / (rows_ * columns_), 1, batch_);
    const Index parts = images_ > 1 ? 1 : std::min(rows_, ceil_div(rows_ * columns_, tiles_a_block));
    rows_a_block_ = ceil_div(rows_, parts);
    parts_ = ceil_div(rows_, rows_a_block_);
  }

  Index count() const { return ceil_div(batch_, images_) * parts_; }
  Index columns() const { return columns_; }
  Index rows_a_block() const { return rows_a_block_; }
  Index max_tiles() const { return images_ * rows_a_block_ * columns_; }

  Block operator[](Index i) const {
    const Index image = i / parts_ * images_, first_row = i % parts_ * rows_a_block_;
    return {image, std::min(images_, batch_ - image), first_row, std::min(rows_a_block_, rows_ - first_row)};
  }
  Index tiles(const Block& block) const { return block.images * block.rows * columns_; }

 private:
  Index batch_;
  Index rows_;
  Index columns_;
  Index images_;
  Index rows_a_block_;
  Index parts_;
};

Index tiles_a_block(Index in_channels, Index out_channels) {
  constexpr Index kBytes = Index{640} << 10;       // of both sides' matrices
  constexpr Index kSmallProduct = Index{1000000};  // OpenBLAS has special code for products up to this size
  const Index in_cache = kBytes / (kFrequencies * (in_channels + out_channels) * Index{sizeof(float)});
  const Index small = kSmallProduct / (in_channels * out_channels);
  return std::clamp<Index>(std::min(in_cache, small), 16, 64);
}

// The frequencies of (rows, channels) matrices; a vector between them keeps them from falling into the same
// cache sets.
class FrequencyScratch {
 public:
  FrequencyScratch(Index rows, Index channels)
      : scratch_(kFrequencies * (rows * channels + 16)),
        view_{scratch_.data(), rows * channels + 16, channels} {}

  const Frequencies& view() const { return view_; }
  float* matrix(Index frequency) const { return view_.data + frequency * view_.stride; }
  void clear() { std::fill_n(view_.data, kFrequencies * view_.stride, 0.0f); }
  static Index size(Index rows, Index channels) { return kFrequencies * (rows * channels + 16); }

 private:
  Scratch<float> scratch_;
  Frequencies view_;
};

class PixelScratch {
 public:
  PixelScratch(Index rows, Index columns, Index channels)
      : size_(rows * columns * channels),
        scratch_(size_),
        view_{scratch_.data(), columns * channels, channels} {}

  const Pixels& view() const { return view_; }
  Pixels at(Index row, Index column) const {
    return {view_.data + row * view_.row_stride + column * view_.channels, view_.row_stride, view_.channels};
  }
  void clear() { std::fill_n(scratch_.data(), size_, 0.0f); }

 private:
  Index size_;
  Scratch<float> scratch_;
  Pixels view_;
};

// Rows of an image that a block of tiles sees: as many as lie in [first, first + count).
struct RowRange {
  Index begin;
  Index end;
  RowRange(Index first, Index count, Index height)
      : begin(std::max<Index>(0, first)), end(std::min(height, first + count)) {}
};

// An activation (batch, channels, size.h, size.w).
template <class T>
struct Planes {
  T* data;
  Index channels;
  Size2D size;

  T* at(Index image, Index row) const { return data + image * channels * plane() + row * size.w; }
  Index plane() const { return size.h * size.w; }
};

// B^T d B of a block's tiles. Tile (0, 0) starts `padding` above and left of the image.
void transform_block(const Winograd& kernel, const Tiling& tiling, const Block& block,
                     const Planes<const float>& x, Size2D padding, PixelScratch& pixels,
                     const FrequencyScratch& out) {
  const Index top = 4 * block.first_row - padding.h;
  const RowRange rows(top, 4 * block.rows + 2, x.size.h);
  for (Index n = 0; n < block.images; ++n) {
    kernel.to_pixels(x.at(block.image + n, rows.begin), x.plane(), x.channels, rows.end - rows.begin,
                     x.size.w, pixels.at(rows.begin - top, padding.w));
    Frequencies target = out.view();
    target.data += n * block.rows * tiling.columns() * target.channels;
    kernel.transform_input(pixels.view(), block.rows, tiling.columns(), target);
  }
}

// y = filters applied to x, where each of `filters` rows is an input channel and each column an output
// channel.
void correlate(const Planes<const float>& x, Index batch, Size2D padding, const Filters& filters, bool rotate,
               const float* bias, const Planes<float>& y) {
  const auto& kernel = table<Winograd>();
  const Index in = round_up(x.channels, kernel.lanes), out = round_up(y.channels, kernel.lanes);

  const FrequencyScratch weights(x.channels, out);
  const Index filter_grain = std::max<Index>(1, Index{4096} / out);
  parallel_ranges(x.channels, filter_grain, [&](Index begin, Index end) {
    kernel.transform_filters(filters, rotate, begin, end, weights.view());
  });

  const Tiling tiling(batch, y.size, tiles_a_block(in, out));
  parallel_for(tiling.count(), [&](Index piece) {
    const Block block = tiling[piece];
    const Index tiles = tiling.tiles(block), columns = tiling.columns();
    const FrequencyScratch inputs(tiles, in);
    FrequencyScratch products(tiles, out);
    PixelScratch input_pixels(4 * block.rows + 2, 4 * columns + 2, in);
    input_pixels.clear();
    transform_block(kernel, tiling, block, x, padding, input_pixels, inputs);

    if (out != y.channels) products.clear();
    for (Index f = 0; f < kFrequencies; ++f)
      gemm<float>(Transpose::no, Transpose::no, tiles, y.channels, x.channels, 1, inputs.matrix(f), in,
                  weights.matrix(f), out, 0, products.matrix(f), out);

    const PixelScratch output_pixels(4 * block.rows, 4 * columns, out);
    const RowRange rows(4 * block.first_row, 4 * block.rows, y.size.h);
    for (Index n = 0; n < block.images; ++n) {
      Frequencies source = products.view();
      source.data += n * block.rows * columns * out;
      kernel.transform_output(source, block.rows, columns, output_pixels.view());
      kernel.from_pixels(output_pixels.view(), bias, y.at(block.image + n, rows.begin), y.plane(), y.channels,
                         rows.end - rows.begin, y.size.w);
    }
  });
}

}  // namespace

bool winograd_applies(const ConvolutionShape& s) {
  return s.kernel == Size2D(3) && s.stride == Size2D(1) && s.dilation == Size2D(1) && s.groups == 1 &&
         std::max(s.padding.h, s.padding.w) <= 2;
}

void winograd_convolve(const ConvolutionShape& s, const float* x, const float* weight, const float* bias,
                       float* y) {
  // Kernels only read filters through this view.
  const Filters filters{const_cast<float*>(weight), 9, s.in_channels * 9, s.out_channels};
  correlate({x, s.in_channels, s.in}, s.batch, s.padding, filters, false, bias, {y, s.out_channels, s.out});
}

// dx is the correlation of dy with the filters turned by 180 degrees, input and output channels swapped.
void winograd_convolve_backward_data(const ConvolutionShape& s, const float* dy, const float* weight,
                                     const float* bias, float* dx) {
  const Filters filters{const_cast<float*>(weight), s.in_channels * 9, 9, s.in_channels};
  correlate({dy, s.out_channels, s.out}, s.batch, {2 - s.padding.h, 2 - s.padding.w}, filters, true, bias,
            {dx, s.in_channels, s.in});
}

void winograd_convolve_backward_weights(const ConvolutionShape& s, const float* x, const float* dy,
                                        float* dweight) {
  const auto& kernel = table<Winograd>();
  const Index in = round_up(s.in_channels, kernel.lanes), out = round_up(s.out_channels, kernel.lanes);
  const Tiling tiling(s.batch, s.out, tiles_a_block(in, out));

  // A partial sum holds 36 matrices (in_channels, out).
  const Index partial_size = FrequencyScratch::size(s.in_channels, out);
  constexpr Index kPartialBytes = Index{4} << 20;
  const Index max_partials = std::clamp<Index>(kPartialBytes / (partial_size * Index{sizeof(float)}), 2, 16);
  const Index per_partial = ceil_div(tiling.count(), max_partials);
  const Index partials = ceil_div(tiling.count(), per_partial);
  Scratch<float> sums(partials * partial_size);
  const Index stride = partial_size / kFrequencies;

  parallel_for(partials, [&](Index partial) {
    float* sum = sums.data() + partial * partial_size;
    if (out != s.out_channels) std::fill_n(sum, partial_size, 0.0f);
    const Index max_rows = tiling.rows_a_block(), columns = tiling.columns();
    const FrequencyScratch inputs(tiling.max_tiles(), in), gradients(tiling.max_tiles(), out);
    PixelScratch input_pixels(4 * max_rows + 2, 4 * columns + 2, in);
    PixelScratch gradient_pixels(4 * max_rows, 4 * columns, out);
    const Index first = partial * per_partial, last = std::min(first + per_partial, tiling.count());
    for (Index b = first; b < last; ++b) {
      const Block block = tiling[b];
      input_pixels.clear();
      transform_block(kernel, tiling, block, {x, s.in_channels, s.in}, s.padding, input_pixels, inputs);

      const Planes<const float> gradient{dy, s.out_channels, s.out};
      gradient_pixels.clear();
      const RowRange rows(4 * block.first_row, 4 * block.rows, s.out.h);
      for (Index n = 0; n < block.images; ++n) {
        kernel.to_pixels(gradient.at(block.image + n, rows.begin), gradient.plane(), s.out_channels,
                         rows.end - rows.begin, s.out.w, gradient_pixels.view());
        Frequencies target = gradients.view();
        target.data += n * block.rows * columns * out;
        kernel.transform_gradient(gradient_pixels.view(), block.rows, columns, target);
      }

      for (Index f = 0; f < kFrequencies; ++f)
        gemm<float>(Transpose::yes, Transpose::no, s.in_channels, s.out_channels, tiling.tiles(block), 1,
                    inputs.matrix(f), in, gradients.matrix(f), out, b == first ? 0 : 1, sum + f * stride,
                    out);
    }
  });

  const Filters filters{dweight, 9, s.in_channels * 9, s.out_channels};
  const Index grain = std::max<Index>(1, Index{4096} / out);
  parallel_ranges(s.in_channels, grain, [&](Index begin, Index end) {
    kernel.transform_filter_gradient({sums.data(), stride, out}, partial_size, partials, begin, end, filters);
  });
}

}  // namespace strata::kernels
