#include "strata/layers/kernels/direct_convolution.hpp"

#include "strata/framework/instruction_set.hpp"
#include "strata/framework/parallel.hpp"
#include "strata/layers/kernels/direct.hpp"
#include "strata/layers/kernels/row_blocks.hpp"

namespace strata::kernels {
namespace {

// Filters as the kernel wants them: row (i, j, c) of (kernel.h, kernel.w, x.channels) holds the weights of
// every output channel, padded to `columns`.
struct FilterMatrix {
  Index window_row;  ///< kernel.w * x.channels
  Index columns;
  Index size(Index kernel_h) const { return kernel_h * window_row * columns; }
};

// The correlation of x with filters; only what its loops need.
struct Correlation {
  Index batch;
  Planes<const float> x;
  Planes<float> y;
  Size2D kernel;
  Size2D stride;
  Size2D padding;
  Index dilation_h;

  // Output rows whose pixels, and those of the input that they see, fit the L2 cache and are worth a piece.
  RowBlocks blocks(Index columns) const {
    constexpr Index kBytes = Index{384} << 10;
    constexpr Index kMultiplyAdds = Index{1} << 21;
    const Index out_row = y.size.w * columns, in_row = stride.h * (x.size.w + 2 * padding.w) * x.channels;
    const Index in_cache = kBytes / Index{sizeof(float)} / (out_row + in_row);
    const Index worth_it = ceil_div(kMultiplyAdds, out_row * kernel.h * kernel.w * x.channels);
    // The rows of several images may add up to more: they are converted one image at a time.
    return {batch, y.size.h,
            in_cache >= y.size.h ? std::max(worth_it, y.size.h) : std::max<Index>(in_cache, 1)};
  }
  Index input_rows(Index rows) const { return (rows - 1) * stride.h + (kernel.h - 1) * dilation_h + 1; }
  // Right of the image as many zeros as the last window needs.
  Index input_columns() const { return std::max((y.size.w - 1) * stride.w + kernel.w, x.size.w + padding.w); }
  // Fills the pixels that a block of an image's output rows sees.
  void load(const PixelLayout& layout, const RowBlock& block, Index image, const PixelScratch& pixels) const {
    const Index top = block.first_row * stride.h - padding.h;
    const RowRange rows(top, input_rows(block.rows), x.size.h);
    if (rows.count() > 0)
      layout.to_pixels(x.at(image, rows.begin), x.plane(), x.channels, rows.count(), x.size.w,
                       pixels.at(rows.begin - top, padding.w));
  }
};

// weight(k, c, i, j) for k < outputs, c < inputs.
template <class Weight>
void pack_filters(const FilterMatrix& matrix, Size2D kernel, Index inputs, Index outputs,
                  const Weight& weight, float* packed) {
  const Index rows = kernel.h * matrix.window_row;
  parallel_ranges(rows, std::max<Index>(1, (Index{1} << 15) / matrix.columns), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const Index c = row % inputs, tap = row / inputs;
      float* out = packed + row * matrix.columns;
      for (Index k = 0; k < outputs; ++k) out[k] = weight(k, c, tap / kernel.w, tap % kernel.w);
      std::fill(out + outputs, out + matrix.columns, 0.0f);
    }
  });
}

void correlate(const Correlation& s, const FilterMatrix& matrix, const float* filters, const float* bias,
               bool rectify) {
  const auto& layout = table<PixelLayout>();
  const auto& kernel = table<Direct>();
  const RowBlocks blocks = s.blocks(matrix.columns);
  parallel_for(blocks.count(), [&](Index piece) {
    const RowBlock block = blocks[piece];
    PixelScratch input(s.input_rows(block.rows), s.input_columns(), s.x.channels);
    const PixelScratch output(block.rows, s.y.size.w, matrix.columns);
    input.clear();
    for (Index n = block.image; n < block.image + block.images; ++n) {
      s.load(layout, block, n, input);
      for (Index row = 0; row < block.rows; ++row)
        kernel.multiply({.rows = s.y.size.w,
                         .columns = matrix.columns,
                         .outer = s.kernel.h,
                         .inner = matrix.window_row,
                         .a = input.at(row * s.stride.h, 0).data,
                         .a_row = s.stride.w * s.x.channels,
                         .a_outer = s.dilation_h * input.view().row_stride,
                         .a_inner = 1,
                         .b = filters,
                         .b_outer = matrix.window_row * matrix.columns,
                         .b_inner = matrix.columns,
                         .c = output.at(row, 0).data,
                         .c_row = matrix.columns,
                         .accumulate = false});
      layout.from_pixels(output.view(), bias, rectify, s.y.at(n, block.first_row), s.y.plane(), s.y.channels,
                         block.rows, s.y.size.w);
    }
  });
}

FilterMatrix filter_matrix(Index kernel_w, Index inputs, Index outputs) {
  return {kernel_w * inputs, round_up(outputs, table<PixelLayout>().lanes)};
}

// Padding the output channels to vectors may waste half of the arithmetic, not more.
bool fills_vectors(Index channels) {
  return 2 * channels >= round_up(channels, table<PixelLayout>().lanes);
}

}  // namespace

bool direct_applies(const ConvolutionShape& s) {
  const bool pointwise = s.kernel == Size2D(1) && s.stride == Size2D(1);
  return s.groups == 1 && s.dilation.w == 1 && !pointwise && fills_vectors(s.out_channels);
}

bool direct_applies_backward_data(const ConvolutionShape& s) {
  return s.groups == 1 && s.dilation.w == 1 && s.kernel != Size2D(1) && s.stride == Size2D(1) &&
         s.padding.h <= (s.kernel.h - 1) * s.dilation.h && s.padding.w <= s.kernel.w - 1 &&
         fills_vectors(s.in_channels);
}

Tensor<float> direct_filters(const ConvolutionShape& s, const float* weight) {
  const FilterMatrix matrix = filter_matrix(s.kernel.w, s.in_channels, s.out_channels);
  auto filters = empty<float>({static_cast<std::size_t>(matrix.size(s.kernel.h))});
  pack_filters(
      matrix, s.kernel, s.in_channels, s.out_channels,
      [&](Index k, Index c, Index i, Index j) {
        return weight[((k * s.in_channels + c) * s.kernel.h + i) * s.kernel.w + j];
      },
      filters.data());
  return filters;
}

void direct_convolve(const ConvolutionShape& s, const float* x, const float* filters, const float* bias, float* y) {
  correlate({s.batch,
             {x, s.in_channels, s.in},
             {y, s.out_channels, s.out},
             s.kernel,
             s.stride,
             s.padding,
             s.dilation.h},
            filter_matrix(s.kernel.w, s.in_channels, s.out_channels), filters, bias, s.rectify);
}

// dx is the correlation of dy with the filters turned by 180 degrees, input and output channels swapped.
void direct_convolve_backward_data(const ConvolutionShape& s, const float* dy, const float* weight,
                                   const float* bias, float* dx) {
  const FilterMatrix matrix = filter_matrix(s.kernel.w, s.out_channels, s.in_channels);
  Scratch<float> filters(matrix.size(s.kernel.h));
  pack_filters(
      matrix, s.kernel, s.out_channels, s.in_channels,
      [&](Index c, Index k, Index i, Index j) {
        const Index row = s.kernel.h - 1 - i, column = s.kernel.w - 1 - j;
        return weight[((k * s.in_channels + c) * s.kernel.h + row) * s.kernel.w + column];
      },
      filters.data());
  const Size2D padding((s.kernel.h - 1) * s.dilation.h - s.padding.h, s.kernel.w - 1 - s.padding.w);
  correlate(
      {s.batch, {dy, s.out_channels, s.out}, {dx, s.in_channels, s.in}, s.kernel, 1, padding, s.dilation.h},
      matrix, filters.data(), bias, /*rectify=*/false);
}

void direct_convolve_backward_weights(const ConvolutionShape& s, const float* x, const float* dy,
                                      float* dweight) {
  const auto& layout = table<PixelLayout>();
  const auto& kernel = table<Direct>();
  const FilterMatrix matrix = filter_matrix(s.kernel.w, s.in_channels, s.out_channels);
  const Planes<const float> gradient{dy, s.out_channels, s.out};
  const Correlation c{
      s.batch,     {x, s.in_channels, s.in}, {nullptr, s.out_channels, s.out}, s.kernel, s.stride, s.padding,
      s.dilation.h};
  const RowBlocks blocks = c.blocks(matrix.columns);
  const Index size = matrix.size(s.kernel.h);
  const Partials partials(blocks.count(), size * Index{sizeof(float)});
  Scratch<float> sums(partials.count * size);

  parallel_for(partials.count, [&](Index partial) {
    float* sum = sums.data() + partial * size;
    PixelScratch input(c.input_rows(blocks.max_rows()), c.input_columns(), s.in_channels);
    const PixelScratch output(blocks.max_rows(), s.out.w, matrix.columns);
    const Index first = partial * partials.blocks_each;
    const Index last = std::min(first + partials.blocks_each, blocks.count());
    bool accumulate = false;
    for (Index b = first; b < last; ++b) {
      const RowBlock block = blocks[b];
      if (b == first || blocks.split_images()) input.clear();
      for (Index n = block.image; n < block.image + block.images; ++n, accumulate = true) {
        c.load(layout, block, n, input);
        layout.to_pixels(gradient.at(n, block.first_row), gradient.plane(), s.out_channels, block.rows,
                         s.out.w, output.view());
        for (Index i = 0; i < s.kernel.h; ++i)
          kernel.multiply({.rows = matrix.window_row,
                           .columns = matrix.columns,
                           .outer = block.rows,
                           .inner = s.out.w,
                           .a = input.at(i * s.dilation.h, 0).data,
                           .a_row = 1,
                           .a_outer = s.stride.h * input.view().row_stride,
                           .a_inner = s.stride.w * s.in_channels,
                           .b = output.view().data,
                           .b_outer = output.view().row_stride,
                           .b_inner = matrix.columns,
                           .c = sum + i * matrix.window_row * matrix.columns,
                           .c_row = matrix.columns,
                           .accumulate = accumulate});
      }
    }
  });

  const Index window = s.kernel.h * s.kernel.w, taps = s.filter_size();
  parallel_ranges(s.out_channels, std::max<Index>(1, (Index{1} << 14) / taps), [&](Index begin, Index end) {
    for (Index ch = 0; ch < s.in_channels; ++ch)
      for (Index tap = 0; tap < window; ++tap)
        for (Index k = begin; k < end; ++k) {
          const float* sum = sums.data() + (tap * s.in_channels + ch) * matrix.columns + k;
          float total = sum[0];
          for (Index p = 1; p < partials.count; ++p) total += sum[p * size];
          dweight[k * taps + ch * window + tap] = total;
        }
  });
}

}  // namespace strata::kernels
