// The gradients of the direct convolution, by the same products. Over its forward pass:
//   1. dx of a strided convolution goes phase by phase, each a correlation of stride 1: no zeros are put
//      between the elements of dy and none multiplied.
//   2. sums of dweight over pixels that the L1 cache holds, and partial ones for threads.
#include <vector>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/convolution/direct_correlation.hpp"
#include "strata/layers/kernels/convolution/taps.hpp"

namespace strata::kernels {
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

void direct_backward_data(const ConvolutionShape& s, const ImageSource<float>& dy, const float* weight,
                          const float* bias, const ImageSink<float>& dx) {
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
        layout.copy(gradient.pixels(n, seen.begin), out, seen.count(), s.out.w,
                    input.at(seen.begin - top, left));
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
        layout.from_pixels(output, bias ? bias + group * in : nullptr, result.at(n, y_begin, group * in),
                           result.plane(), in, y_end - y_begin, s.in.w);
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

void direct_backward_weights(const ConvolutionShape& s, const ImageSource<float>& x,
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
