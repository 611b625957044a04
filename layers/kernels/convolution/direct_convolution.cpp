// Convolution without an im2col matrix, for float. Over the matrix products of im2col:
//   1. channels innermost: a row of a window lies side by side in the padded image, and is multiplied there
//      (direct.hpp); nothing is copied once for each tap.
//   2. blocks of rows whose pixels stay in the L2 cache.
//   3. bands of rows and columns whose windows see the same taps: zeros around the image are not multiplied.
//   4. images that come, or go, as pixels are not converted.
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/convolution/algorithms.hpp"
#include "strata/layers/kernels/convolution/direct_correlation.hpp"
#include "strata/layers/kernels/convolution/padded_bias.hpp"

namespace strata::kernels {
namespace {

void correlate(const Correlation& s, const FilterMatrix& matrix, const float* filters, const float* bias,
               bool rectify) {
  const auto& layout = table<PixelLayout>();
  const auto& kernel = table<Direct>();
  const RowBlocks blocks = s.blocks(matrix.columns);
  const PaddedBias padded_bias(bias, s.groups, s.out(), matrix.columns);
  parallel_for(blocks.count() * s.groups, [&](Index piece) {
    const RowBlock block = blocks[piece / s.groups];
    const Index group = piece % s.groups;
    const bool from_place = s.reads_in_place(), in_place = s.y_layout == ImageLayout::pixels;
    PixelScratch padded(from_place ? 0 : s.input_rows(block.rows), s.input_columns(), s.in());
    const PixelScratch output(in_place ? 0 : block.rows, s.y.size.w, matrix.columns);
    if (!from_place) padded.clear_beside(s.padding.w, s.x.size.w);
    const auto bands = s.column_bands(from_place ? s.x.pixels(0, 0) : padded.view());
    for (Index n = block.image; n < block.image + block.images; ++n) {
      if (!from_place) s.load(layout, block, n, group, padded.view());
      const Pixels input = from_place ? s.x.pixels(n, block.first_row * s.stride.h) : padded.view();
      const Pixels results = in_place ? s.y.pixels(n, block.first_row) : output.view();
      const auto taps_of = [&](Index row) { return s.taps_inside(block.first_row + row); };
      for_each_band(block.rows, taps_of, [&](Index first, Index rows, RowRange taps) {
        for (const ColumnBand& band : bands)
          kernel.multiply({.rows = rows * band.count,
                           .line_rows = band.count,
                           .columns = matrix.columns,
                           .run_count = taps.count() * band.terms.runs_a_row,
                           .run_length = band.terms.run_length,
                           .runs = band.terms.runs.data() + taps.begin * band.terms.runs_a_row,
                           .a = input.at(first * s.stride.h, band.first * s.stride.w).data,
                           .a_line = s.stride.h * input.row_stride,
                           .a_row = s.stride.w * s.in(),
                           .a_term = 1,
                           .b = filters + group * matrix.group_size(),
                           .b_row = matrix.columns,
                           .c = results.at(first, band.first).data,
                           .c_line = results.row_stride,
                           .c_row = matrix.columns,
                           .accumulate = false,
                           .bias = padded_bias.of_group(group),
                           .rectify = rectify});
      });
      if (!in_place)
        layout.from_pixels(results, /*bias=*/nullptr, s.y.at(n, block.first_row, group * s.out()),
                           s.y.plane(), s.out(), block.rows, s.y.size.w);
    }
  });
}

bool every_window_sees_x(const ConvolutionShape& s) {
  return s.padding.h <= (s.kernel.h - 1) * s.dilation.h && s.padding.w <= (s.kernel.w - 1) * s.dilation.w;
}

// Padding a group's output channels to vectors may waste half of the arithmetic, not more; with several
// groups none, for the grouped convolution wastes none.
bool fills_vectors(const ConvolutionShape& s, Index outputs) {
  const Index lanes = table<PixelLayout>().lanes;
  if (s.groups == 1) return 2 * outputs >= round_up(outputs, lanes);
  constexpr Index kEnough = 8;
  const Index in = s.group_in_channels(), out = s.group_out_channels();
  return std::min(in, out) >= kEnough && in % lanes == 0 && out % lanes == 0;
}

bool can(const ConvolutionShape& s) {
  const bool pointwise = s.kernel == Size2D(1) && s.stride == Size2D(1);
  return !pointwise && fills_vectors(s, s.out_channels);
}

// A strided 1x1 is faster by gemm, which gives no pixels.
bool can_backward_data(const ConvolutionShape& s, ImageLayout dx) {
  return dx == ImageLayout::pixels ||
         (s.kernel != Size2D(1) && every_window_sees_x(s) && fills_vectors(s, s.in_channels));
}

ImageAbilities abilities(const ConvolutionShape& s) {
  if (s.groups > 1) return {};
  return {.x_as_pixels = s.in_channels % kPixelChannels == 0 && every_window_sees_x(s),
          .y_as_pixels = s.out_channels % kPixelChannels == 0};
}

Tensor<float> pack_filters(const ConvolutionShape& s, const float* weight) {
  const FilterMatrix matrix = filter_matrix(s);
  auto filters = empty<float>({static_cast<std::size_t>(matrix.size())});
  const auto place = [&](Index g, Index k, Index c, Index i, Index j) {
    return (((g * matrix.outputs + k) * matrix.inputs + c) * s.kernel.h + i) * s.kernel.w + j;
  };
  pack(matrix, weight, s.filter_size(), place, filters.data());
  return filters;
}

void forward(const ConvolutionShape& s, const ImageSource<float>& x, const float* filters, const float* bias,
             const ImageSink<float>& y) {
  correlate({s.batch,
             s.groups,
             {x.tensor(), s.in_channels, s.in},
             x.layout(),
             {y.tensor, s.out_channels, s.out},
             y.layout,
             s.kernel,
             s.stride,
             s.padding,
             s.dilation},
            filter_matrix(s), filters, bias, s.rectify);
}

}  // namespace

constinit const ConvolutionAlgorithm<float> kDirect{"direct",
                                                    can,
                                                    forward,
                                                    can_backward_data,
                                                    direct_backward_data,
                                                    can,
                                                    direct_backward_weights,
                                                    /*rectifies=*/true,
                                                    pack_filters,
                                                    /*tile=*/nullptr,
                                                    abilities};

}  // namespace strata::kernels
