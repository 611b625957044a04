#include "strata/layers/kernels/direct_convolution.hpp"

#include <vector>

#include "strata/framework/instruction_set.hpp"
#include "strata/framework/parallel.hpp"
#include "strata/layers/kernels/direct.hpp"
#include "strata/layers/kernels/direct_filters.hpp"
#include "strata/layers/kernels/row_blocks.hpp"
#include "strata/layers/kernels/taps.hpp"

namespace strata::kernels {
namespace {

// Those of `taps` rows of taps, one every `step` rows from row `top` on, that lie in an image.
RowRange taps_inside(Index top, Index step, Index taps, Index height) {
  const Index above = std::min(taps, ceil_div(std::max<Index>(0, -top), step));
  return {above, std::max(above, ceil_div(std::max<Index>(0, height - top), step)) - above, taps};
}

// Calls band(first, rows, taps) for bands of rows whose windows have the same rows of taps inside of the
// image: nothing is multiplied by the zeros above and below it. taps_of(row) tells a row's.
template <class TapsOf, class Band>
void for_each_band(Index rows, const TapsOf& taps_of, const Band& band) {
  for (Index row = 0, end; row < rows; row = end) {
    const RowRange taps = taps_of(row);
    for (end = row + 1; end < rows && taps_of(end) == taps;) ++end;
    band(row, end - row, taps);
  }
}

// The correlation of x with filters; only what its loops need.
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

  // Output rows whose pixels, and those of the input that they see, fit the L2 cache.
  Index rows_in_cache(Index columns) const {
    constexpr Index kFloats = (Index{384} << 10) / Index{sizeof(float)};
    return std::max<Index>(1, kFloats / (y.size.w * columns + stride.h * (x.size.w + 2 * padding.w) * in()));
  }
  // Output rows that are worth a piece of work, of which there are enough for many threads: they see more
  // rows of their own than of their neighbors.
  Index rows_worth_a_piece(Index columns) const {
    constexpr Index kMultiplyAdds = Index{1} << 18, kPieces = 16;
    constexpr Index kMove = 8;  // to make a float a pixel's takes the time of some multiply-adds
    const Index row = y.size.w * columns * kernel.h * kernel.w * in() +
                      kMove * (y.size.w * columns + stride.h * x.size.w * in());
    return std::max(
        {ceil_div(kMultiplyAdds, row), ceil_div(batch * y.size.h, kPieces), input_rows(1) / stride.h});
  }
  // The rows of several images may add up to more than the cache holds: they are converted one image at a
  // time.
  RowBlocks blocks(Index columns) const {
    const Index in_cache = rows_in_cache(columns), worth_it = rows_worth_a_piece(columns);
    return {batch, y.size.h, in_cache < y.size.h ? std::min(in_cache, worth_it) : worth_it};
  }
  // Sums over blocks have to be added up: that is worth it for sums of many pixels and rows.
  RowBlocks blocks_of_sums(Index columns) const {
    constexpr Index kPixels = 256;
    const Index worth_it =
        std::max({rows_worth_a_piece(columns), ceil_div(kPixels, y.size.w), 2 * input_rows(1) / stride.h});
    return {batch, y.size.h, std::min(rows_in_cache(columns), worth_it)};
  }
  // Channels of a group.
  Index in() const { return x.channels / groups; }
  Index out() const { return y.channels / groups; }
  Index input_rows(Index rows) const { return (rows - 1) * stride.h + (kernel.h - 1) * dilation.h + 1; }
  // Right of the image as many zeros as the last window needs.
  Index input_columns() const {
    return std::max((y.size.w - 1) * stride.w + (kernel.w - 1) * dilation.w + 1, x.size.w + padding.w);
  }
  // The rows of taps of an output row's windows that lie in the image.
  RowRange taps_inside(Index row) const {
    return strata::kernels::taps_inside(row * stride.h - padding.h, dilation.h, kernel.h, x.size.h);
  }
  // Whether x is read where it lies: it is of pixels, and no window sees more than the image.
  bool reads_in_place() const { return x_layout == ImageLayout::pixels && padding == Size2D(0); }
  // Fills the pixels of a group that a block of an image's output rows sees.
  void load(const PixelLayout& layout, const RowBlock& block, Index image, Index group,
            const Pixels& pixels) const {
    const Index top = block.first_row * stride.h - padding.h;
    const RowRange rows(top, input_rows(block.rows), x.size.h);
    if (rows.count() <= 0) return;
    if (x_layout == ImageLayout::pixels)
      layout.copy(x.pixels(image, rows.begin), rows.count(), x.size.w,
                  pixels.at(rows.begin - top, padding.w));
    else
      layout.to_pixels(x.at(image, rows.begin, group * in()), x.plane(), in(), rows.count(), x.size.w,
                       pixels.at(rows.begin - top, padding.w));
  }
};

// The terms of a sum over a window of pixels: a term for each channel of each tap. A row of taps that lie
// side by side is one run of terms; each of the others is a run.
struct WindowTerms {
  std::vector<Run> runs;  // from the window's first tap on
  Index runs_a_row;       // of taps
  Index run_length;

  WindowTerms(const Pixels& pixels, Size2D taps, Size2D tap_step) {
    const bool side_by_side = taps.w == 1 || tap_step.w == 1;
    runs_a_row = side_by_side ? 1 : taps.w;
    run_length = (side_by_side ? taps.w : 1) * pixels.channels;
    for (Index i = 0; i < taps.h; ++i)
      for (Index j = 0; j < runs_a_row; ++j)
        runs.push_back({i * tap_step.h * pixels.row_stride + j * tap_step.w * pixels.channels,
                        std::ssize(runs) * run_length});
  }
};

void correlate(const Correlation& s, const FilterMatrix& matrix, const float* filters, const float* bias,
               bool rectify) {
  const auto& layout = table<PixelLayout>();
  const auto& kernel = table<Direct>();
  const RowBlocks blocks = s.blocks(matrix.columns);
  parallel_for(blocks.count() * s.groups, [&](Index piece) {
    const RowBlock block = blocks[piece / s.groups];
    const Index group = piece % s.groups;
    const bool from_place = s.reads_in_place(), in_place = s.y_layout == ImageLayout::pixels;
    PixelScratch padded(from_place ? 0 : s.input_rows(block.rows), s.input_columns(), s.in());
    const PixelScratch output(in_place ? 0 : block.rows, s.y.size.w, matrix.columns);
    if (!from_place) padded.clear_beside(s.padding.w, s.x.size.w);
    const WindowTerms terms(from_place ? s.x.pixels(0, 0) : padded.view(), s.kernel, s.dilation);
    for (Index n = block.image; n < block.image + block.images; ++n) {
      if (!from_place) s.load(layout, block, n, group, padded.view());
      const Pixels input = from_place ? s.x.pixels(n, block.first_row * s.stride.h) : padded.view();
      const Pixels results = in_place ? s.y.pixels(n, block.first_row) : output.view();
      const auto taps_of = [&](Index row) { return s.taps_inside(block.first_row + row); };
      for_each_band(block.rows, taps_of, [&](Index first, Index rows, RowRange taps) {
        kernel.multiply({.rows = rows * s.y.size.w,
                         .line_rows = s.y.size.w,
                         .columns = matrix.columns,
                         .run_count = taps.count() * terms.runs_a_row,
                         .run_length = terms.run_length,
                         .runs = terms.runs.data() + taps.begin * terms.runs_a_row,
                         .a = input.at(first * s.stride.h, 0).data,
                         .a_line = s.stride.h * input.row_stride,
                         .a_row = s.stride.w * s.in(),
                         .a_term = 1,
                         .b = filters + group * matrix.group_size(),
                         .b_row = matrix.columns,
                         .c = results.at(first, 0).data,
                         .c_line = results.row_stride,
                         .c_row = matrix.columns,
                         .accumulate = false});
      });
      if (!in_place)
        layout.from_pixels(results, bias ? bias + group * s.out() : nullptr, rectify,
                           s.y.at(n, block.first_row, group * s.out()), s.y.plane(), s.out(), block.rows,
                           s.y.size.w);
    }
  });
}

FilterMatrix filter_matrix(const ConvolutionShape& s) {
  return {s.groups, s.kernel, s.group_in_channels(), s.group_out_channels()};
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

}  // namespace

bool direct_applies(const ConvolutionShape& s) {
  const bool pointwise = s.kernel == Size2D(1) && s.stride == Size2D(1);
  return !pointwise && fills_vectors(s, s.out_channels);
}

bool direct_applies_backward_data(const ConvolutionShape& s) {
  return s.kernel != Size2D(1) && every_window_sees_x(s) && fills_vectors(s, s.in_channels);
}

bool direct_takes_pixels(const ConvolutionShape& s) {
  return direct_applies(s) && s.groups == 1 && s.in_channels % kPixelChannels == 0 && every_window_sees_x(s);
}

Tensor<float> direct_filters(const ConvolutionShape& s, const float* weight) {
  const FilterMatrix matrix = filter_matrix(s);
  auto filters = empty<float>({static_cast<std::size_t>(matrix.size())});
  const auto place = [&](Index g, Index k, Index c, Index i, Index j) {
    return (((g * matrix.outputs + k) * matrix.inputs + c) * s.kernel.h + i) * s.kernel.w + j;
  };
  pack(matrix, weight, s.filter_size(), place, filters.data());
  return filters;
}

void direct_convolve(const ConvolutionShape& s, const ImageSource<float>& x, const float* filters,
                     const float* bias, const ImageSink<float>& y) {
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

namespace {

// The pixels of dx whose padded row and column leave given rests when divided by the stride see the same
// taps: they are a correlation of dy, of stride 1, with these alone. (With stride 1 that is all of them.)
struct Phase {
  Size2D rest;
  std::vector<AxisTap> rows;
  std::vector<AxisTap> columns;
  Index filters;  // where those of the phase start, for all groups

  Size2D taps() const { return {static_cast<Index>(rows.size()), static_cast<Index>(columns.size())}; }
  bool empty() const { return rows.empty() || columns.empty(); }
};

Index step(const std::vector<AxisTap>& taps) {
  return taps.size() < 2 ? 1 : taps[1].place - taps[0].place;
}

}  // namespace

void direct_convolve_backward_data(const ConvolutionShape& s, const ImageSource<float>& dy,
                                   const float* weight, const float* bias, const ImageSink<float>& dx) {
  const auto& layout = table<PixelLayout>();
  const auto& kernel = table<Direct>();
  const Index in = s.group_in_channels(), out = s.group_out_channels();
  const Index columns = round_up(in, layout.lanes);
  Scratch<float> filters(s.kernel.h * s.kernel.w * s.out_channels * columns);
  const Size2D reached = reach(s);
  std::vector<Phase> phases;
  bool all_written = true;
  Index next = 0;
  for (Index a = 0; a < s.stride.h; ++a)
    for (Index b = 0; b < s.stride.w; ++b) {
      const Phase phase{{a, b},
                        mirrored(axis_taps(s.kernel.h, s.dilation.h, s.stride.h, a), reached.h),
                        mirrored(axis_taps(s.kernel.w, s.dilation.w, s.stride.w, b), reached.w),
                        next};
      all_written = all_written && !phase.empty();
      if (phase.empty()) continue;
      const FilterMatrix matrix(s.groups, phase.taps(), out, in);
      const auto place = [&](Index g, Index c, Index k, Index i, Index j) {
        const Index row = phase.rows[static_cast<std::size_t>(i)].tap;
        const Index column = phase.columns[static_cast<std::size_t>(j)].tap;
        return (((g * out + k) * in + c) * s.kernel.h + row) * s.kernel.w + column;
      };
      pack(matrix, weight, s.kernel.h * s.kernel.w, place, filters.data() + next);
      next += matrix.size();
      phases.push_back(phase);
    }

  // Results are counted in strides: (u, v) stands for the pixels of all phases at (u, v) * stride - padding.
  const Size2D first(s.padding.h / s.stride.h, s.padding.w / s.stride.w);
  const Size2D strides((s.padding.h + s.in.h - 1) / s.stride.h - first.h + 1,
                       (s.padding.w + s.in.w - 1) / s.stride.w - first.w + 1);
  const Planes<const float> gradient{dy.tensor(), s.out_channels, s.out};
  const Planes<float> result{dx.tensor, s.in_channels, s.in};
  const bool in_place = dx.layout == ImageLayout::pixels;
  const Index left = reached.w - first.w, width = std::max(strides.w + reached.w, left + s.out.w);
  const Correlation as_one{s.batch,   s.groups, gradient, dy.layout(), {nullptr, s.groups * columns, strides},
                           dx.layout, s.kernel, 1,        {0, left},   1};
  const RowBlocks blocks = as_one.blocks(s.stride.h * s.stride.w * columns);

  parallel_for(blocks.count() * s.groups, [&](Index piece) {
    const RowBlock block = blocks[piece / s.groups];
    const Index group = piece % s.groups;
    PixelScratch input(block.rows + reached.h, width, out);
    PixelScratch turned(in_place ? 0 : block.rows * s.stride.h, s.in.w, columns);
    input.clear_beside(left, s.out.w);
    if (!all_written && !in_place) turned.clear();
    const Index first_u = first.h + block.first_row, top = first_u - reached.h;
    const Index y_begin = std::max<Index>(0, first_u * s.stride.h - s.padding.h);
    const Index y_end = std::min(s.in.h, (first_u + block.rows) * s.stride.h - s.padding.h);
    const RowRange seen(top, block.rows + reached.h, s.out.h);
    for (Index n = block.image; n < block.image + block.images; ++n) {
      if (seen.count() <= 0)
        ;  // all of the block is of rows that no window sees
      else if (dy.layout() == ImageLayout::pixels)
        layout.copy(gradient.pixels(n, seen.begin), seen.count(), s.out.w, input.at(seen.begin - top, left));
      else
        layout.to_pixels(gradient.at(n, seen.begin, group * out), gradient.plane(), out, seen.count(),
                         s.out.w, input.at(seen.begin - top, left));
      const Pixels output = in_place ? result.pixels(n, y_begin) : turned.view();
      if (!all_written && in_place && y_end > y_begin)
        std::fill_n(output.data, (y_end - y_begin) * output.row_stride, 0.0f);
      for (const Phase& phase : phases) {
        const Index v = ceil_div(std::max<Index>(0, s.padding.w - phase.rest.w), s.stride.w);
        const Index x = v * s.stride.w + phase.rest.w - s.padding.w;
        if (x >= s.in.w) continue;
        const Index above =
            s.padding.h - phase.rest.h;  // result row u of the phase is row u * stride.h - above
        const Index u = ceil_div(std::max<Index>(y_begin + above, 0), s.stride.h);
        const Index rows = ceil_div(y_end + above, s.stride.h) - u;
        if (rows <= 0) continue;
        const WindowTerms terms(input.view(), phase.taps(), {step(phase.rows), step(phase.columns)});
        const Index line = ceil_div(s.in.w - x, s.stride.w);
        const Index first_seen = u - first_u + phase.rows[0].place;  // by row u, of `input`
        const auto taps_of = [&](Index row) {
          return taps_inside(top + first_seen + row, step(phase.rows), phase.taps().h, s.out.h);
        };
        for_each_band(rows, taps_of, [&](Index band, Index band_rows, RowRange taps) {
          kernel.multiply(
              {.rows = band_rows * line,
               .line_rows = line,
               .columns = columns,
               .run_count = taps.count() * terms.runs_a_row,
               .run_length = terms.run_length,
               .runs = terms.runs.data() + taps.begin * terms.runs_a_row,
               .a = input.at(first_seen + band, v - first.w + phase.columns[0].place).data,
               .a_line = input.view().row_stride,
               .a_row = out,
               .a_term = 1,
               .b = filters.data() + phase.filters + group * phase.taps().h * phase.taps().w * out * columns,
               .b_row = columns,
               .c = output.at((u + band) * s.stride.h - above - y_begin, x).data,
               .c_line = s.stride.h * output.row_stride,
               .c_row = s.stride.w * columns,
               .accumulate = false});
        });
      }
      if (!in_place)
        layout.from_pixels(output, bias ? bias + group * in : nullptr, /*rectify=*/false,
                           result.at(n, y_begin, group * in), result.plane(), in, y_end - y_begin, s.in.w);
    }
  });
}

namespace {

// A row of results: what its first tap sees and where its gradients are, and which rows of taps see anything.
struct Line {
  Run first_tap;
  RowRange taps;
};

}  // namespace

void direct_convolve_backward_weights(const ConvolutionShape& s, const ImageSource<float>& x,
                                      const ImageSource<float>& dy, float* dweight) {
  const auto& layout = table<PixelLayout>();
  const auto& kernel = table<Direct>();
  const FilterMatrix matrix = filter_matrix(s);
  const Planes<const float> gradient{dy.tensor(), s.out_channels, s.out};
  const bool in_place = dy.layout() == ImageLayout::pixels;
  const Correlation c{s.batch,
                      s.groups,
                      {x.tensor(), s.in_channels, s.in},
                      x.layout(),
                      {nullptr, s.out_channels, s.out},
                      dy.layout(),
                      s.kernel,
                      s.stride,
                      s.padding,
                      s.dilation};
  const RowBlocks blocks = c.blocks_of_sums(matrix.columns);
  const Index size = matrix.size();
  const Partials partials(blocks.count(), size * Index{sizeof(float)});
  Scratch<float> sums(partials.count * size);
  // A row of taps that lie side by side is one product.
  const Index products_a_row = s.dilation.w == 1 ? 1 : s.kernel.w;
  const Index in = matrix.inputs, rows = s.kernel.w * in / products_a_row;
  // Pixels that the L1 cache holds: they are read for every tile of the sums.
  constexpr Index kCached = 224;

  parallel_for(partials.count * s.groups, [&](Index piece) {
    const Index partial = piece / s.groups, group = piece % s.groups;
    float* sum = sums.data() + partial * size + group * matrix.group_size();
    const bool from_place = c.reads_in_place();
    const Index rows_an_image = from_place ? s.in.h : c.input_rows(blocks.max_rows());
    PixelScratch padded(from_place ? 0 : blocks.max_images() * rows_an_image, c.input_columns(), in);
    const PixelScratch output(in_place ? 0 : blocks.max_images() * blocks.max_rows(), s.out.w,
                              matrix.columns);
    const Index first = partial * partials.blocks_each;
    const Index last = std::min(first + partials.blocks_each, blocks.count());
    bool accumulate = false;
    for (Index b = first; b < last; ++b) {
      const RowBlock block = blocks[b];
      if (b == first && !from_place) padded.clear_beside(s.padding.w, s.in.w);
      const Pixels input = from_place ? c.x.pixels(block.image, block.first_row * s.stride.h) : padded.view();
      std::vector<Line> lines;
      const Pixels gradients = in_place ? gradient.pixels(block.image, block.first_row) : output.view();
      const Index rows_apart = in_place ? s.out.h : block.rows;  // the images' first ones
      for (Index m = 0; m < block.images; ++m) {
        if (!from_place) c.load(layout, block, block.image + m, group, padded.at(m * rows_an_image, 0));
        if (!in_place)
          layout.to_pixels(gradient.at(block.image + m, block.first_row, group * matrix.outputs),
                           gradient.plane(), matrix.outputs, block.rows, s.out.w,
                           gradients.at(m * rows_apart, 0));
        for (Index row = 0; row < block.rows; ++row)
          lines.push_back(
              {{(m * rows_an_image + row * s.stride.h) * input.row_stride, (m * rows_apart + row) * s.out.w},
               c.taps_inside(block.first_row + row)});
      }
      const Index lines_each = ceil_div(std::ssize(lines), ceil_div(std::ssize(lines) * s.out.w, kCached));
      for (Index line = 0; line < std::ssize(lines); line += lines_each, accumulate = true)
        for (Index i = 0; i < s.kernel.h; ++i) {
          std::vector<Run> runs;
          for (Index n = line; n < std::min(line + lines_each, std::ssize(lines)); ++n) {
            const Line& seen = lines[static_cast<std::size_t>(n)];
            if (seen.taps.begin <= i && i < seen.taps.end) runs.push_back(seen.first_tap);
          }
          for (Index j = 0; j < products_a_row; ++j)
            kernel.multiply({.rows = rows,
                             .line_rows = rows,
                             .columns = matrix.columns,
                             .run_count = std::ssize(runs),
                             .run_length = s.out.w,
                             .runs = runs.data(),
                             .a = input.at(i * s.dilation.h, j * s.dilation.w).data,
                             .a_line = 0,
                             .a_row = 1,
                             .a_term = s.stride.w * in,
                             .b = gradients.data,
                             .b_row = matrix.columns,
                             .c = sum + (i * s.kernel.w + j) * in * matrix.columns,
                             .c_line = 0,
                             .c_row = matrix.columns,
                             .accumulate = accumulate});
        }
    }
  });

  parallel_ranges(size, (Index{1} << 15) / partials.count, [&](Index begin, Index end) {
    for (Index p = 1; p < partials.count; ++p)
      for (Index i = begin; i < end; ++i) sums.data()[i] += sums.data()[p * size + i];
  });
  for_each_run(matrix, [&](Index g, Index k, Index count, Index ch, Index i, Index j, Index place) {
    float* const to = dweight + (((g * matrix.outputs + k) * in + ch) * s.kernel.h + i) * s.kernel.w + j;
    for (Index n = 0; n < count; ++n) to[n * s.filter_size()] = sums.data()[place + n];
  });
}

}  // namespace strata::kernels
