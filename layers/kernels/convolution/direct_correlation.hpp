// What the passes of the direct convolution share: how they cut images into blocks, and the terms of a
// window.
#pragma once

#include <algorithm>
#include <vector>

#include "strata/layers/kernels/convolution/algorithms.hpp"
#include "strata/layers/kernels/convolution/direct.hpp"
#include "strata/layers/kernels/convolution/direct_filters.hpp"
#include "strata/layers/kernels/convolution/pixels.hpp"
#include "strata/layers/kernels/product/row_blocks.hpp"

namespace strata::kernels {

/// Those of `taps` rows of taps, one every `step` rows from row `top` on, that lie in an image.
inline RowRange taps_inside(Index top, Index step, Index taps, Index height) {
  const Index above = std::min(taps, ceil_div(std::max<Index>(0, -top), step));
  return {above, std::max(above, ceil_div(std::max<Index>(0, height - top), step)) - above, taps};
}

/// Calls band(first, rows, taps) for bands of rows whose windows have the same rows of taps inside of the
/// image: nothing is multiplied by the zeros above and below it. taps_of(row) tells a row's.
template <class TapsOf, class Band>
void for_each_band(Index rows, const TapsOf& taps_of, const Band& band) {
  for (Index row = 0, end; row < rows; row = end) {
    const RowRange taps = taps_of(row);
    for (end = row + 1; end < rows && taps_of(end) == taps;) ++end;
    band(row, end - row, taps);
  }
}

/// The terms of a sum over a window of pixels: a term for each channel of each tap. A row of taps that lie
/// side by side is one run of terms; each of the others is a run.
struct WindowTerms {
  std::vector<Run> runs;  // from the window's first tap on
  Index runs_a_row;       // of taps
  Index run_length;

  /// `columns`: of taps, the others are left out.
  WindowTerms(const Pixels& pixels, Size2D taps, Size2D tap_step, const RowRange& columns) {
    const bool side_by_side = columns.count() == 1 || tap_step.w == 1;
    runs_a_row = side_by_side ? 1 : columns.count();
    run_length = (side_by_side ? columns.count() : 1) * pixels.channels;
    for (Index i = 0; i < taps.h; ++i)
      for (Index j = columns.begin; j < columns.begin + runs_a_row; ++j)
        runs.push_back({i * tap_step.h * pixels.row_stride + j * tap_step.w * pixels.channels,
                        (i * taps.w + j) * pixels.channels});
  }
  WindowTerms(const Pixels& pixels, Size2D taps, Size2D tap_step)
      : WindowTerms(pixels, taps, tap_step, {0, taps.w, taps.w}) {}
};

/// Columns of an image whose windows have the same columns of taps inside of it.
struct ColumnBand {
  Index first;
  Index count;
  WindowTerms terms;
};

/// The correlation of x with filters; only what its loops need.
struct Correlation {
  Index batch;
  Index groups;
  Planes<const float> x;
  ImageLayout x_layout;
  Planes<float> y;
  ImageLayout y_layout;
  Size2D kernel;
  Size2D stride;
  Size2D padding;
  Size2D dilation;

  /// Output rows whose pixels, and those of the input that they see, fit the L2 cache.
  Index rows_in_cache(Index columns) const {
    constexpr Index kFloats = (Index{384} << 10) / Index{sizeof(float)};
    return std::max<Index>(1, kFloats / (y.size.w * columns + stride.h * (x.size.w + 2 * padding.w) * in()));
  }
  /// Output rows that are worth a piece of work, of which there are enough for many threads: they see more
  /// rows of their own than of their neighbors.
  Index rows_worth_a_piece(Index columns) const {
    constexpr Index kMultiplyAdds = Index{1} << 18, kPieces = 16;
    constexpr Index kMove = 8;  // to make a float a pixel's takes the time of some multiply-adds
    const Index row = y.size.w * columns * kernel.h * kernel.w * in() +
                      kMove * (y.size.w * columns + stride.h * x.size.w * in());
    return std::max(
        {ceil_div(kMultiplyAdds, row), ceil_div(batch * y.size.h, kPieces), input_rows(1) / stride.h});
  }
  /// The rows of several images may add up to more than the cache holds: they are converted one image at a
  /// time.
  RowBlocks blocks(Index columns) const {
    const Index in_cache = rows_in_cache(columns), worth_it = rows_worth_a_piece(columns);
    return {batch, y.size.h, in_cache < y.size.h ? std::min(in_cache, worth_it) : worth_it};
  }
  /// Sums over blocks have to be added up: that is worth it for sums of many pixels and rows.
  RowBlocks blocks_of_sums(Index columns) const {
    constexpr Index kPixels = 256;
    const Index worth_it =
        std::max({rows_worth_a_piece(columns), ceil_div(kPixels, y.size.w), 2 * input_rows(1) / stride.h});
    return {batch, y.size.h, std::min(rows_in_cache(columns), worth_it)};
  }
  /// Channels of a group.
  Index in() const { return x.channels / groups; }
  Index out() const { return y.channels / groups; }
  Index input_rows(Index rows) const { return (rows - 1) * stride.h + (kernel.h - 1) * dilation.h + 1; }
  /// Right of the image as many zeros as the last window needs.
  Index input_columns() const {
    return std::max((y.size.w - 1) * stride.w + (kernel.w - 1) * dilation.w + 1, x.size.w + padding.w);
  }
  /// The rows of taps of an output row's windows that lie in the image.
  RowRange taps_inside(Index row) const {
    return kernels::taps_inside(row * stride.h - padding.h, dilation.h, kernel.h, x.size.h);
  }
  /// The columns of y in bands, if that spares a tenth of the multiplications; but none of a single column,
  /// whose few pixels would not be worth going through the filters for. `pixels`: of x.
  std::vector<ColumnBand> column_bands(const Pixels& pixels) const {
    const auto taps_of = [&](Index column) {
      return kernels::taps_inside(column * stride.w - padding.w, dilation.w, kernel.w, x.size.w);
    };
    Index inside = 0, narrowest = y.size.w;
    for_each_band(y.size.w, taps_of, [&](Index, Index count, const RowRange& taps) {
      inside += count * taps.count();
      narrowest = std::min(narrowest, count);
    });
    if (narrowest == 1 || 10 * inside > 9 * y.size.w * kernel.w)
      return {{0, y.size.w, {pixels, kernel, dilation}}};
    std::vector<ColumnBand> bands;
    for_each_band(y.size.w, taps_of, [&](Index first, Index count, const RowRange& taps) {
      bands.push_back({first, count, {pixels, kernel, dilation, taps}});
    });
    return bands;
  }
  /// Whether x is read where it lies: it is of pixels, and no window sees more than the image.
  bool reads_in_place() const { return x_layout == ImageLayout::pixels && padding == Size2D(0); }
  /// Fills the pixels of a group that a block of an image's output rows sees.
  void load(const PixelLayout& layout, const RowBlock& block, Index image, Index group,
            const Pixels& pixels) const {
    const Index top = block.first_row * stride.h - padding.h;
    const RowRange rows(top, input_rows(block.rows), x.size.h);
    if (rows.count() <= 0) return;
    if (x_layout == ImageLayout::pixels)
      layout.copy(x.pixels(image, rows.begin), in(), rows.count(), x.size.w,
                  pixels.at(rows.begin - top, padding.w));
    else
      layout.to_pixels(x.at(image, rows.begin, group * in()), x.plane(), in(), rows.count(), x.size.w,
                       pixels.at(rows.begin - top, padding.w));
  }
};

// Of pixels only for a single group, and dx then takes no bias.
void direct_backward_data(const ConvolutionShape& shape, const ImageSource<float>& dy, const float* weight,
                          const float* bias, const ImageSink<float>& dx);
void direct_backward_weights(const ConvolutionShape& shape, const ImageSource<float>& x,
                             const ImageSource<float>& dy, float* dweight);

inline FilterMatrix filter_matrix(const ConvolutionShape& s) {
  return {s.groups, s.kernel, s.group_in_channels(), s.group_out_channels()};
}

}  // namespace strata::kernels
