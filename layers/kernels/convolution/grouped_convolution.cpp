// Convolution with groups of few channels, depthwise above all, for float. Channels fill no vectors, so that
// over the plain loops:
//   1. vectors hold neighboring columns of a plane.
//   2. planes are spread over sheets, padded and cut by the stride (grouped.hpp): every tap is a fixed
//      distance, and strided convolutions load whole vectors.
//   3. a row is loaded once for all taps that see it, and sums of eight rows stay in registers.
//   4. narrow images lie side by side in a strip, to fill vectors.
#include <numeric>
#include <vector>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/convolution/algorithms.hpp"
#include "strata/layers/kernels/convolution/grouped.hpp"
#include "strata/layers/kernels/convolution/taps.hpp"
#include "strata/layers/kernels/product/row_blocks.hpp"

namespace strata::kernels {
namespace {

constexpr Index kSlack = SheetCorrelation::kRowBlock - 1;  // rows that may be touched beyond the last

// The sheets of some rows of several images. The images lie side by side, so that narrow ones fill vectors.
struct Strip {
  Index width;    // columns of an image's result
  Index cell;     // from image to image: the columns that the result is made from
  Index images;   // side by side
  Index columns;  // of all results, rounded up to vectors
  Index pitch;    // of what the results are made from

  Strip(Index batch, Index width_, Index reach_w, Index lanes) : width(width_), cell(width_ + reach_w) {
    const auto vectors = [&](Index n) { return ceil_div((n - 1) * cell + width, lanes); };
    images = 1;
    for (Index n = 2; n <= std::min<Index>(batch, 8) && vectors(n) <= 4; ++n)
      if (n * vectors(images) > images * vectors(n)) images = n;
    columns = vectors(images) * lanes;
    pitch = round_up(columns + reach_w, lanes);
  }
};

// A range of blocks and groups that is worth a piece of work.
Index grain(const ConvolutionShape& s, const RowBlocks& blocks) {
  constexpr Index kMultiplyAdds = Index{1} << 20;
  const Index work =
      blocks.max_images() * blocks.max_rows() * s.out.w * s.group_out_channels() * s.filter_size();
  return std::max<Index>(1, kMultiplyAdds / std::max<Index>(1, work));
}

struct Chains {
  std::vector<Chain> chains;
  std::vector<Index> taps;  // the chains' taps as places in a filter of kernel.h x kernel.w

  void append(const std::vector<AxisTap>& rows, const std::vector<AxisTap>& columns, Index sheet, Index pitch,
              Index kernel_w) {
    for (const AxisTap& column : columns)
      for (std::size_t r = 0; r < rows.size(); ++r) {
        const bool follows = r > 0 && rows[r].place == rows[r - 1].place + 1;
        if (follows && chains.back().length < Chain::kLongest)
          ++chains.back().length;
        else
          chains.push_back({sheet + rows[r].place * pitch + column.place, 1});
        taps.push_back(rows[r].tap * kernel_w + column.tap);
      }
  }
};

// How x becomes y.
Chains forward_chains(const ConvolutionShape& s, Index pitch, Index sheet_size) {
  Chains result;
  for (Index a = 0; a < s.stride.h; ++a)
    for (Index b = 0; b < s.stride.w; ++b)
      result.append(axis_taps(s.kernel.h, s.dilation.h, s.stride.h, a),
                    axis_taps(s.kernel.w, s.dilation.w, s.stride.w, b), (a * s.stride.w + b) * sheet_size,
                    pitch, s.kernel.w);
  return result;
}

// Working memory that starts as zeros.
class Sheets {
 public:
  explicit Sheets(Index size) : size_(size), scratch_(size) { clear(); }
  void clear() { std::fill_n(scratch_.data(), size_, 0.0f); }
  float* data() { return scratch_.data(); }

 private:
  Index size_;
  Scratch<float> scratch_;
};

// How a side of a pass, its inputs or its results, is cut into sheets.
struct Side {
  Size2D stride;
  Size2D origin;  // of the first block's

  Index sheets() const { return stride.h * stride.w; }
  SheetLayout layout(const RowBlock& block, Index more_rows, Index columns, Index pitch, Index size) const {
    return {stride, {origin.h - block.first_row * stride.h, origin.w}, block.rows + more_rows, columns, pitch,
            size};
  }
};

// Where images lie in a pass from inputs to results. The batch is cut into blocks of one strip each, whose
// sheets stay in the L2 cache.
struct Geometry {
  Strip strip;
  Size2D reached;
  Side inputs;
  Side results;
  RowBlocks blocks;
  Index sheet_size;   // of inputs
  Index input_size;   // all sheets of a channel
  Index result_size;  // of one sheet

  // `extent`: of a sheet of results; `channels`: inputs of a group.
  Geometry(Index batch, Size2D extent, Size2D reached_, Index channels, const Side& inputs_,
           const Side& results_)
      : strip(batch, extent.w, reached_.w, table<Grouped>().lanes),
        reached(reached_),
        inputs(inputs_),
        results(results_),
        blocks(batch, extent.h, rows_a_block(extent.h, channels)),
        sheet_size((blocks.max_rows() + reached.h + kSlack) * strip.pitch),
        input_size(inputs.sheets() * sheet_size),
        result_size((blocks.max_rows() + kSlack) * strip.columns) {}

  Index rows_a_block(Index rows, Index channels) const {
    constexpr Index kFloats = (Index{512} << 10) / Index{sizeof(float)};
    const Index floats_a_row = channels * inputs.sheets() * strip.pitch + results.sheets() * strip.columns;
    if (strip.images > 1) return strip.images * rows;
    return std::min(rows, std::max<Index>(kFloats / floats_a_row, 16));
  }
  // Whether the zeros between images are where the block before left them.
  bool keeps_zeros(const RowBlock& block) const {
    return !blocks.split_images() && block.images == strip.images;
  }

  SheetCorrelation correlation(const RowBlock& block, Index channels, const Chains& taps, const float* in,
                               float* out) const {
    return {in,  strip.pitch, input_size,   channels, taps.chains.data(), std::ssize(taps.chains),
            out, block.rows,  strip.columns};
  }
  SheetLayout result_layout(const RowBlock& block) const {
    return results.layout(block, 0, strip.width, strip.columns, result_size);
  }
  // Some channels of the block's images, as inputs.
  void load(const RowBlock& block, const Planes<const float>& planes, Index first, Index count,
            float* sheets) const {
    const SheetLayout layout = inputs.layout(block, reached.h, strip.cell, strip.pitch, sheet_size);
    for (Index c = 0; c < count; ++c) spread(block, planes, first + c, layout, sheets + c * input_size);
  }
  void spread(const RowBlock& block, const Planes<const float>& planes, Index channel,
              const SheetLayout& layout, float* sheets) const {
    for (Index m = 0; m < block.images; ++m)
      table<Grouped>().to_sheets(planes.at(block.image + m, 0, channel), planes.size, layout,
                                 sheets + m * strip.cell);
  }
};

// y = weights, as [output][sheet][input][tap], applied to x; `chains`: of each sheet of y.
void correlate(const Geometry& g, Index groups, Index grain, const Planes<const float>& x,
               const std::vector<Chains>& chains, const float* weights, const float* bias,
               const Planes<float>& y) {
  const Index inputs = x.channels / groups, outputs = y.channels / groups;
  Index filter_size = 0;
  for (const Chains& taps : chains) filter_size += inputs * std::ssize(taps.taps);
  parallel_ranges(g.blocks.count() * groups, grain, [&](Index begin, Index end) {
    Sheets input(inputs * g.input_size), output(std::ssize(chains) * g.result_size);
    for (Index i = begin; i < end; ++i) {
      const RowBlock block = g.blocks[i / groups];
      const Index group = i % groups;
      if (g.blocks.split_images()) input.clear();
      g.load(block, x, group * inputs, inputs, input.data());
      for (Index k = group * outputs; k < (group + 1) * outputs; ++k) {
        const float* filter = weights + k * filter_size;
        float* sheet = output.data();
        for (const Chains& taps : chains) {
          table<Grouped>().correlate(g.correlation(block, inputs, taps, input.data(), sheet), filter,
                                     bias ? bias[k] : 0.0f);
          filter += inputs * std::ssize(taps.taps);
          sheet += g.result_size;
        }
        for (Index m = 0; m < block.images; ++m)
          table<Grouped>().from_sheets(g.result_layout(block), output.data() + m * g.strip.cell,
                                       y.at(block.image + m, 0, k), y.size);
      }
    }
  });
}

// From x to y, which backward-weights shares.
Geometry forward_geometry(const ConvolutionShape& s) {
  return {s.batch, s.out, reach(s), s.group_in_channels(), {s.stride, s.padding}, {1, 0}};
}

// A pointwise convolution is a matrix product as it is, unless it only scales channels.
bool can(const ConvolutionShape& s) {
  const bool pointwise = s.kernel == Size2D(1) && s.stride == Size2D(1);
  return s.groups > 1 && !(pointwise && s.group_in_channels() >= 4);
}

bool can_backward_data(const ConvolutionShape& s, ImageLayout /*dx*/) {
  return can(s);
}

void forward(const ConvolutionShape& s, const ImageSource<float>& x, const float* weight, const float* bias,
             const ImageSink<float>& y) {
  const Geometry g = forward_geometry(s);
  const std::vector<Chains> chains{forward_chains(s, g.strip.pitch, g.sheet_size)};
  const Scratch<float> weights(s.out_channels * s.filter_size());
  float* next = weights.data();
  for (const float* of_input = weight; of_input != weight + s.out_channels * s.filter_size();
       of_input += s.kernel.h * s.kernel.w)
    for (const Index tap : chains[0].taps) *next++ = of_input[tap];
  correlate(g, s.groups, grain(s, g.blocks), {x.tensor(), s.in_channels, s.in}, chains, weights.data(), bias,
            {y.tensor, s.out_channels, s.out});
}

// Each sheet of dx is a correlation of dy with some of the taps.
void backward_data(const ConvolutionShape& s, const ImageSource<float>& dy, const float* weight,
                   const float* bias, const ImageSink<float>& dx) {
  const Index in = s.group_in_channels(), out = s.group_out_channels(), window = s.kernel.h * s.kernel.w;
  const Size2D reached = reach(s), first(s.padding.h / s.stride.h, s.padding.w / s.stride.w);
  const Size2D results((s.padding.h + s.in.h - 1) / s.stride.h - first.h + 1,
                       (s.padding.w + s.in.w - 1) / s.stride.w - first.w + 1);
  const Geometry g(s.batch, results, reached, out, {1, {reached.h - first.h, reached.w - first.w}},
                   {s.stride, {s.padding.h - first.h * s.stride.h, s.padding.w - first.w * s.stride.w}});
  std::vector<Chains> chains(static_cast<std::size_t>(s.stride.h * s.stride.w));
  for (Index sheet = 0; sheet < std::ssize(chains); ++sheet)
    chains[static_cast<std::size_t>(sheet)].append(
        mirrored(axis_taps(s.kernel.h, s.dilation.h, s.stride.h, sheet / s.stride.w), reached.h),
        mirrored(axis_taps(s.kernel.w, s.dilation.w, s.stride.w, sheet % s.stride.w), reached.w), 0,
        g.strip.pitch, s.kernel.w);
  const Scratch<float> weights(s.in_channels * out * window);
  float* next = weights.data();
  for (Index c = 0; c < s.in_channels; ++c)
    for (const Chains& sheet : chains)
      for (Index k = 0; k < out; ++k)
        for (const Index tap : sheet.taps)
          *next++ = weight[((c / in * out + k) * in + c % in) * window + tap];
  correlate(g, s.groups, grain(s, g.blocks), {dy.tensor(), s.out_channels, s.out}, chains, weights.data(),
            bias, {dx.tensor, s.in_channels, s.in});
}

void backward_weights(const ConvolutionShape& s, const ImageSource<float>& x, const ImageSource<float>& dy,
                      float* dweight) {
  const auto& kernel = table<Grouped>();
  const Geometry g = forward_geometry(s);
  const Chains chains = forward_chains(s, g.strip.pitch, g.sheet_size);
  const Planes<const float> x_planes{x.tensor(), s.in_channels, s.in};
  const Planes<const float> dy_planes{dy.tensor(), s.out_channels, s.out};
  const Index in = s.group_in_channels(), out = s.group_out_channels(), taps = s.kernel.h * s.kernel.w;
  const Index filters = out * s.filter_size(), sums_size = filters * kernel.lanes;
  const Partials parts(g.blocks.count(), s.groups * sums_size * Index{sizeof(float)});
  // Groups whose sums stay in the cache, over which a block of images is walked in the order of its memory.
  constexpr Index kSums = (Index{256} << 10) / Index{sizeof(float)};
  const Index groups_each = std::clamp<Index>(kSums / sums_size, 1, s.groups);
  const Index ranges = ceil_div(s.groups, groups_each);
  Scratch<float> sums(parts.count * s.groups * sums_size);  // [part][group][weight][lane]

  parallel_for(ranges * parts.count, [&](Index piece) {
    const Index first_group = piece % ranges * groups_each;
    const Index last_group = std::min(first_group + groups_each, s.groups);
    const Index first = piece / ranges * parts.blocks_each;
    const Index last = std::min(first + parts.blocks_each, g.blocks.count());
    float* const part = sums.data() + piece / ranges * s.groups * sums_size;
    std::fill(part + first_group * sums_size, part + last_group * sums_size, 0.0f);
    Sheets input(in * g.input_size), output(g.result_size);
    for (Index b = first; b < last; ++b) {
      const RowBlock block = g.blocks[b];
      for (Index group = first_group; group < last_group; ++group) {
        if (!g.keeps_zeros(block)) {
          input.clear();
          output.clear();
        }
        g.load(block, x_planes, group * in, in, input.data());
        for (Index k = 0; k < out; ++k) {
          g.spread(block, dy_planes, group * out + k, g.result_layout(block), output.data());
          kernel.add_products(g.correlation(block, in, chains, input.data(), output.data()),
                              part + group * sums_size + k * s.filter_size() * kernel.lanes);
        }
      }
    }
  });

  const Index count = s.groups * filters;
  parallel_ranges(count, Index{1} << 12, [&](Index begin, Index end) {
    for (Index part = 1; part < parts.count; ++part)
      for (Index i = begin * kernel.lanes; i < end * kernel.lanes; ++i)
        sums.data()[i] += sums.data()[part * count * kernel.lanes + i];
    for (Index i = begin; i < end; ++i) {
      const float* lanes = sums.data() + i * kernel.lanes;
      dweight[i / taps * taps + chains.taps[static_cast<std::size_t>(i % taps)]] =
          std::accumulate(lanes, lanes + kernel.lanes, 0.0f);
    }
  });
}

}  // namespace

constinit const ConvolutionAlgorithm<float> kGrouped{"grouped",     can, forward,         can_backward_data,
                                                     backward_data, can, backward_weights};

}  // namespace strata::kernels
