#include "strata/layers/kernels/convolution/grouped_convolution.hpp"

#include <numeric>
#include <vector>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/parallel.hpp"
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

// A batch cut into blocks of one strip each, so that the sheets of a block stay in the L2 cache.
RowBlocks cut(const Strip& strip, Index batch, Index rows, Index floats_a_row) {
  constexpr Index kFloats = (Index{512} << 10) / Index{sizeof(float)};
  const Index in_cache = std::max<Index>(kFloats / floats_a_row, 16);
  return {batch, rows, strip.images > 1 ? strip.images * rows : std::min(rows, in_cache)};
}

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

Planes<const float> x_planes(const ConvolutionShape& s, const float* x) {
  return {x, s.in_channels, s.in};
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

// Geometry of the pass from x to y, which backward-weights shares.
struct ForwardGeometry {
  Strip strip;
  Size2D reached;
  RowBlocks blocks;
  Index sheet_size;
  Index input_size;
  Index output_size;
  Chains chains;

  ForwardGeometry(const ConvolutionShape& s, Index lanes)
      : strip(s.batch, s.out.w, reach(s).w, lanes),
        reached(reach(s)),
        blocks(cut(strip, s.batch, s.out.h,
                   s.group_in_channels() * s.stride.h * s.stride.w * strip.pitch + strip.columns)),
        sheet_size((blocks.max_rows() + reached.h + kSlack) * strip.pitch),
        input_size(s.stride.h * s.stride.w * sheet_size),
        output_size((blocks.max_rows() + kSlack) * strip.columns),
        chains(forward_chains(s, strip.pitch, sheet_size)) {}

  bool keeps_zeros(const RowBlock& block) const {
    return !blocks.split_images() && block.images == strip.images;
  }

  SheetLayout x_layout(const ConvolutionShape& s, const RowBlock& block) const {
    return {s.stride,
            {s.padding.h - block.first_row * s.stride.h, s.padding.w},
            block.rows + reached.h,
            strip.cell,
            strip.pitch,
            sheet_size};
  }
  SheetLayout y_layout(const RowBlock& block) const {
    return {1, {-block.first_row, 0}, block.rows, strip.width, strip.columns, output_size};
  }
  SheetCorrelation correlation(const ConvolutionShape& s, const RowBlock& block, const float* in,
                               float* out) const {
    return {in,
            strip.pitch,
            input_size,
            s.group_in_channels(),
            chains.chains.data(),
            static_cast<Index>(chains.chains.size()),
            out,
            block.rows,
            strip.columns};
  }
  // The inputs of a group.
  void load(const ConvolutionShape& s, const RowBlock& block, Index group, const float* x,
            float* sheets) const {
    const auto& kernel = table<Grouped>();
    const SheetLayout layout = x_layout(s, block);
    const Planes<const float> planes = x_planes(s, x);
    for (Index c = 0; c < s.group_in_channels(); ++c)
      for (Index m = 0; m < block.images; ++m)
        kernel.to_sheets(planes.at(block.image + m, 0) + (group * s.group_in_channels() + c) * s.in_size(),
                         s.in, layout, sheets + c * input_size + m * strip.cell);
  }
};

}  // namespace

// A pointwise convolution is a matrix product as it is, unless it only scales channels.
bool grouped_applies(const ConvolutionShape& s) {
  const bool pointwise = s.kernel == Size2D(1) && s.stride == Size2D(1);
  return s.groups > 1 && !(pointwise && s.group_in_channels() >= 4);
}

void grouped_convolve(const ConvolutionShape& s, const float* x, const float* weight, const float* bias,
                      float* y) {
  const auto& kernel = table<Grouped>();
  const ForwardGeometry g(s, kernel.lanes);
  const Index in = s.group_in_channels(), out = s.group_out_channels(), taps = s.kernel.h * s.kernel.w;

  Scratch<float> weights(s.out_channels * s.filter_size());
  for (Index f = 0; f < s.out_channels * in; ++f)
    for (Index t = 0; t < taps; ++t)
      weights.data()[f * taps + t] = weight[f * taps + g.chains.taps[static_cast<std::size_t>(t)]];

  parallel_ranges(g.blocks.count() * s.groups, grain(s, g.blocks), [&](Index begin, Index end) {
    Sheets input(in * g.input_size), output(g.output_size);
    for (Index i = begin; i < end; ++i) {
      const RowBlock block = g.blocks[i / s.groups];
      const Index group = i % s.groups;
      if (!g.keeps_zeros(block)) input.clear();
      g.load(s, block, group, x, input.data());
      for (Index k = group * out; k < (group + 1) * out; ++k) {
        kernel.correlate(g.correlation(s, block, input.data(), output.data()),
                         weights.data() + k * s.filter_size(), bias ? bias[k] : 0.0f);
        for (Index m = 0; m < block.images; ++m)
          kernel.from_sheets(g.y_layout(block), output.data() + m * g.strip.cell,
                             y + ((block.image + m) * s.out_channels + k) * s.out_size(), s.out);
      }
    }
  });
}

// Each sheet of dx is a correlation of dy with some of the taps.
void grouped_convolve_backward_data(const ConvolutionShape& s, const float* dy, const float* weight,
                                    const float* bias, float* dx) {
  const auto& kernel = table<Grouped>();
  const Index in = s.group_in_channels(), out = s.group_out_channels(), window = s.kernel.h * s.kernel.w;
  const Size2D reached = reach(s), first(s.padding.h / s.stride.h, s.padding.w / s.stride.w);
  const Index rows = (s.padding.h + s.in.h - 1) / s.stride.h - first.h + 1;
  const Strip strip(s.batch, (s.padding.w + s.in.w - 1) / s.stride.w - first.w + 1, reached.w, kernel.lanes);
  const Index sheets = s.stride.h * s.stride.w;
  const RowBlocks blocks = cut(strip, s.batch, rows, out * strip.pitch + sheets * strip.columns);
  const Index input_size = (blocks.max_rows() + reached.h + kSlack) * strip.pitch;
  const Index output_size = (blocks.max_rows() + kSlack) * strip.columns;

  std::vector<Chains> chains(static_cast<std::size_t>(sheets));
  for (Index sheet = 0; sheet < sheets; ++sheet)
    chains[static_cast<std::size_t>(sheet)].append(
        mirrored(axis_taps(s.kernel.h, s.dilation.h, s.stride.h, sheet / s.stride.w), reached.h),
        mirrored(axis_taps(s.kernel.w, s.dilation.w, s.stride.w, sheet % s.stride.w), reached.w), 0,
        strip.pitch, s.kernel.w);
  // [input channel][sheet][output channel of the group][tap]
  Scratch<float> weights(s.in_channels * out * window);
  float* next = weights.data();
  for (Index c = 0; c < s.in_channels; ++c)
    for (const Chains& sheet : chains)
      for (Index k = 0; k < out; ++k)
        for (const Index tap : sheet.taps)
          *next++ = weight[((c / in * out + k) * in + c % in) * window + tap];

  parallel_ranges(blocks.count() * s.groups, grain(s, blocks), [&](Index begin, Index end) {
    Sheets input(out * input_size), output(sheets * output_size);
    for (Index i = begin; i < end; ++i) {
      const RowBlock block = blocks[i / s.groups];
      const Index group = i % s.groups;
      if (blocks.split_images()) input.clear();
      const SheetLayout from{1,
                             {reached.h - first.h - block.first_row, reached.w - first.w},
                             block.rows + reached.h,
                             strip.cell,
                             strip.pitch,
                             input_size};
      const SheetLayout to{
          s.stride,
          {s.padding.h - (first.h + block.first_row) * s.stride.h, s.padding.w - first.w * s.stride.w},
          block.rows,
          strip.width,
          strip.columns,
          output_size};
      for (Index k = 0; k < out; ++k)
        for (Index m = 0; m < block.images; ++m)
          kernel.to_sheets(dy + ((block.image + m) * s.out_channels + group * out + k) * s.out_size(), s.out,
                           from, input.data() + k * input_size + m * strip.cell);
      for (Index c = group * in; c < (group + 1) * in; ++c) {
        const float* filter = weights.data() + c * out * window;
        for (Index sheet = 0; sheet < sheets; ++sheet) {
          const Chains& taps = chains[static_cast<std::size_t>(sheet)];
          kernel.correlate({input.data(), strip.pitch, input_size, out, taps.chains.data(),
                            static_cast<Index>(taps.chains.size()), output.data() + sheet * output_size,
                            block.rows, strip.columns},
                           filter, bias ? bias[c] : 0.0f);
          filter += out * static_cast<Index>(taps.taps.size());
        }
        for (Index m = 0; m < block.images; ++m)
          kernel.from_sheets(to, output.data() + m * strip.cell,
                             dx + ((block.image + m) * s.in_channels + c) * s.in_size(), s.in);
      }
    }
  });
}

void grouped_convolve_backward_weights(const ConvolutionShape& s, const float* x, const float* dy,
                                       float* dweight) {
  const auto& kernel = table<Grouped>();
  const ForwardGeometry g(s, kernel.lanes);
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
    Sheets input(in * g.input_size), output(g.output_size);
    for (Index b = first; b < last; ++b) {
      const RowBlock block = g.blocks[b];
      for (Index group = first_group; group < last_group; ++group) {
        if (!g.keeps_zeros(block)) {
          input.clear();
          output.clear();
        }
        g.load(s, block, group, x, input.data());
        for (Index k = 0; k < out; ++k) {
          for (Index m = 0; m < block.images; ++m)
            kernel.to_sheets(dy + ((block.image + m) * s.out_channels + group * out + k) * s.out_size(),
                             s.out, g.y_layout(block), output.data() + m * g.strip.cell);
          kernel.add_products(g.correlation(s, block, input.data(), output.data()),
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
      dweight[i / taps * taps + g.chains.taps[static_cast<std::size_t>(i % taps)]] =
          std::accumulate(lanes, lanes + kernel.lanes, 0.0f);
    }
  });
}

}  // namespace strata::kernels
