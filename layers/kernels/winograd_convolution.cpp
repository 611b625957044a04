#include "strata/layers/kernels/winograd_convolution.hpp"

#include "strata/framework/blas.hpp"
#include "strata/framework/instruction_set.hpp"
#include "strata/framework/parallel.hpp"
#include "strata/layers/kernels/row_blocks.hpp"
#include "strata/layers/kernels/winograd.hpp"

namespace strata::kernels {
namespace {

const Winograd& transforms(Index kernel) {
  const auto& family = table<WinogradFamily>();
  return kernel == 3 ? family.of_3x3 : family.of_5x5;
}

// The tiles of 4x4 outputs of a batch, in blocks. The smaller a block is, the better its matrices fit the L2
// cache, and the less its matrix products make of what they load.
struct Tiling {
  Tiling(Index batch, Size2D out, Index in_channels, Index out_channels, Index frequencies)
      : columns(ceil_div(out.w, 4)),
        blocks(batch, ceil_div(out.h, 4),
               tiles_a_block(batch * ceil_div(out.h, 4) * columns, in_channels, out_channels, frequencies) /
                   columns) {}

  Index tiles(const RowBlock& block) const { return block.images * block.rows * columns; }
  Index max_tiles() const { return blocks.max_images() * blocks.max_rows() * columns; }

  static Index tiles_a_block(Index all_tiles, Index in_channels, Index out_channels, Index frequencies) {
    constexpr Index kBytes = Index{640} << 10;       // of both sides' matrices
    constexpr Index kSmallProduct = Index{1000000};  // OpenBLAS has special code for products up to this size
    constexpr Index kPieces = 8;                     // wanted at least, so that there is work to share
    constexpr Index kFewest = 16, kMost = 64;
    const Index in_cache = kBytes / (frequencies * (in_channels + out_channels) * Index{sizeof(float)});
    const Index small = kSmallProduct / (in_channels * out_channels);
    const Index wanted = small < kFewest ? kMost : std::min(in_cache, small);
    return std::clamp(std::min(wanted, all_tiles / kPieces), kFewest, kMost);
  }

  Index columns;
  RowBlocks blocks;
};

// From one (rows, channels) matrix to the next; a vector between them keeps them from falling into the same
// cache sets.
Index frequency_stride(Index rows, Index channels) {
  return rows * channels + 16;
}

// The frequencies of (rows, channels) matrices.
class FrequencyScratch {
 public:
  FrequencyScratch(Index frequencies, Index rows, Index channels)
      : size_(frequencies * frequency_stride(rows, channels)),
        scratch_(size_),
        view_{scratch_.data(), frequency_stride(rows, channels), channels} {}

  const Frequencies& view() const { return view_; }
  float* matrix(Index frequency) const { return view_.data + frequency * view_.stride; }
  void clear() { std::fill_n(view_.data, size_, 0.0f); }

 private:
  Index size_;
  Scratch<float> scratch_;
  Frequencies view_;
};

// Rows, or columns, of the input that so many tiles see.
Index seen_by(const Winograd& kernel, Index tiles) {
  return 4 * tiles + kernel.kernel - 1;
}

// B^T d B of a block's tiles. Tile (0, 0) starts `padding` above and left of the image.
void transform_block(const Winograd& kernel, const Tiling& tiling, const RowBlock& block,
                     const Planes<const float>& x, Size2D padding, const PixelScratch& pixels,
                     const FrequencyScratch& out) {
  const Index top = 4 * block.first_row - padding.h;
  const RowRange rows(top, seen_by(kernel, block.rows), x.size.h);
  for (Index n = 0; n < block.images; ++n) {
    table<PixelLayout>().to_pixels(x.at(block.image + n, rows.begin), x.plane(), x.channels, rows.count(),
                                   x.size.w, pixels.at(rows.begin - top, padding.w));
    Frequencies target = out.view();
    target.data += n * block.rows * tiling.columns * target.channels;
    kernel.transform_input(pixels.view(), block.rows, tiling.columns, target);
  }
}

// Matrices (inputs, columns) of the filters, each of whose rows is an input channel and each column an output
// channel.
struct FilterFrequencies {
  FilterFrequencies(Index inputs, Index outputs)
      : rows(inputs), columns(round_up(outputs, table<PixelLayout>().lanes)) {}
  Index stride() const { return frequency_stride(rows, columns); }

  Tensor<float> transform(const Winograd& kernel, const Filters& filters, bool rotate) const {
    auto result = empty<float>({static_cast<std::size_t>(kernel.frequencies * stride())});
    parallel_ranges(rows, std::max<Index>(1, Index{4096} / columns), [&](Index begin, Index end) {
      kernel.transform_filters(filters, rotate, begin, end, {result.data(), stride(), columns});
    });
    return result;
  }

  Index rows;
  Index columns;
};

// The output channels of one piece of work. Tiles that make a single block, as of one small image, are worked
// on by halves of the channels: each transforms the input for itself, which is little beside the filters that
// it reads.
struct Slices {
  Slices(Index blocks, Index channels) {
    const Index lanes = table<PixelLayout>().lanes, vectors = ceil_div(channels, lanes);
    width = ceil_div(vectors, blocks == 1 ? 2 : 1) * lanes;
    count = ceil_div(channels, width);
  }
  Index width;
  Index count;
};

// y = filters applied to x.
void correlate(const Winograd& kernel, const Planes<const float>& x, Index batch, Size2D padding,
               const float* filters, const float* bias, bool rectify, const Planes<float>& y) {
  const auto& layout = table<PixelLayout>();
  const Index in = round_up(x.channels, layout.lanes), all_out = round_up(y.channels, layout.lanes);
  const Index filter_stride = FilterFrequencies(x.channels, y.channels).stride();

  const Tiling tiling(batch, y.size, in, all_out, kernel.frequencies);
  const Slices slices(tiling.blocks.count(), y.channels);
  parallel_for(tiling.blocks.count() * slices.count, [&](Index piece) {
    const RowBlock block = tiling.blocks[piece / slices.count];
    const Index first = piece % slices.count * slices.width;
    const Index channels = std::min(slices.width, y.channels - first), out = round_up(channels, layout.lanes);
    const Index tiles = tiling.tiles(block), columns = tiling.columns;
    const FrequencyScratch inputs(kernel.frequencies, tiles, in);
    FrequencyScratch products(kernel.frequencies, tiles, out);
    PixelScratch input_pixels(seen_by(kernel, block.rows), seen_by(kernel, columns), in);
    input_pixels.clear();
    transform_block(kernel, tiling, block, x, padding, input_pixels, inputs);

    if (out != channels) products.clear();
    for (Index f = 0; f < kernel.frequencies; ++f)
      gemm<float>(Transpose::no, Transpose::no, tiles, channels, x.channels, 1, inputs.matrix(f), in,
                  filters + f * filter_stride + first, all_out, 0, products.matrix(f), out);

    const PixelScratch output_pixels(4 * block.rows, 4 * columns, out);
    const RowRange rows(4 * block.first_row, 4 * block.rows, y.size.h);
    for (Index n = 0; n < block.images; ++n) {
      Frequencies source = products.view();
      source.data += n * block.rows * columns * out;
      kernel.transform_output(source, block.rows, columns, output_pixels.view());
      layout.from_pixels(output_pixels.view(), bias ? bias + first : nullptr, rectify,
                         y.at(block.image + n, rows.begin) + first * y.plane(), y.plane(), channels,
                         rows.count(), y.size.w);
    }
  });
}

}  // namespace

// Measured: slower than the others only where there is next to nothing to add up over channels, and where
// transforming the filters costs more than it saves, for one or two tiles of hundreds of channels.
bool winograd_applies(const ConvolutionShape& s) {
  const Index tiles = s.batch * ceil_div(s.out.h, 4) * ceil_div(s.out.w, 4);
  return (s.kernel == Size2D(3) || s.kernel == Size2D(5)) && s.stride == Size2D(1) &&
         s.dilation == Size2D(1) && s.groups == 1 && std::max(s.padding.h, s.padding.w) < s.kernel.h &&
         s.in_channels > 1 && tiles > 2;
}

Tensor<float> winograd_filters(const ConvolutionShape& s, const float* weight) {
  // Kernels only read filters through this view.
  const Index taps = s.kernel.h * s.kernel.w;
  const Filters filters{const_cast<float*>(weight), taps, s.in_channels * taps, s.out_channels};
  return FilterFrequencies(s.in_channels, s.out_channels)
      .transform(transforms(s.kernel.h), filters, /*rotate=*/false);
}

void winograd_convolve(const ConvolutionShape& s, const float* x, const float* filters, const float* bias,
                       float* y) {
  correlate(transforms(s.kernel.h), {x, s.in_channels, s.in}, s.batch, s.padding, filters, bias, s.rectify,
            {y, s.out_channels, s.out});
}

// dx is the correlation of dy with the filters turned by 180 degrees, input and output channels swapped.
void winograd_convolve_backward_data(const ConvolutionShape& s, const float* dy, const float* weight,
                                     const float* bias, float* dx) {
  const Winograd& kernel = transforms(s.kernel.h);
  const Index taps = s.kernel.h * s.kernel.w;
  const Filters filters{const_cast<float*>(weight), s.in_channels * taps, taps, s.in_channels};
  const auto turned =
      FilterFrequencies(s.out_channels, s.in_channels).transform(kernel, filters, /*rotate=*/true);
  correlate(kernel, {dy, s.out_channels, s.out}, s.batch,
            {s.kernel.h - 1 - s.padding.h, s.kernel.w - 1 - s.padding.w}, turned.data(), bias,
            /*rectify=*/false, {dx, s.in_channels, s.in});
}

void winograd_convolve_backward_weights(const ConvolutionShape& s, const float* x, const float* dy,
                                        float* dweight) {
  const Winograd& kernel = transforms(s.kernel.h);
  const auto& layout = table<PixelLayout>();
  const Index in = round_up(s.in_channels, layout.lanes), out = round_up(s.out_channels, layout.lanes);
  const Tiling tiling(s.batch, s.out, in, out, kernel.frequencies);

  // A partial sum holds a matrix (in_channels, out) for each frequency.
  const Index stride = frequency_stride(s.in_channels, out), partial_size = kernel.frequencies * stride;
  const Partials partials(tiling.blocks.count(), partial_size * Index{sizeof(float)});
  Scratch<float> sums(partials.count * partial_size);

  parallel_for(partials.count, [&](Index partial) {
    float* sum = sums.data() + partial * partial_size;
    if (out != s.out_channels) std::fill_n(sum, partial_size, 0.0f);
    const Index max_rows = tiling.blocks.max_rows(), columns = tiling.columns;
    const FrequencyScratch inputs(kernel.frequencies, tiling.max_tiles(), in);
    const FrequencyScratch gradients(kernel.frequencies, tiling.max_tiles(), out);
    PixelScratch input_pixels(seen_by(kernel, max_rows), seen_by(kernel, columns), in);
    PixelScratch gradient_pixels(4 * max_rows, 4 * columns, out);
    const Index first = partial * partials.blocks_each;
    const Index last = std::min(first + partials.blocks_each, tiling.blocks.count());
    for (Index b = first; b < last; ++b) {
      const RowBlock block = tiling.blocks[b];
      const bool other_rows = b == first || tiling.blocks.split_images();
      if (other_rows) input_pixels.clear();
      transform_block(kernel, tiling, block, {x, s.in_channels, s.in}, s.padding, input_pixels, inputs);

      const Planes<const float> gradient{dy, s.out_channels, s.out};
      if (other_rows) gradient_pixels.clear();
      const RowRange rows(4 * block.first_row, 4 * block.rows, s.out.h);
      for (Index n = 0; n < block.images; ++n) {
        layout.to_pixels(gradient.at(block.image + n, rows.begin), gradient.plane(), s.out_channels,
                         rows.count(), s.out.w, gradient_pixels.view());
        Frequencies target = gradients.view();
        target.data += n * block.rows * columns * out;
        kernel.transform_gradient(gradient_pixels.view(), block.rows, columns, target);
      }

      for (Index f = 0; f < kernel.frequencies; ++f)
        gemm<float>(Transpose::yes, Transpose::no, s.in_channels, s.out_channels, tiling.tiles(block), 1,
                    inputs.matrix(f), in, gradients.matrix(f), out, b == first ? 0 : 1, sum + f * stride,
                    out);
    }
  });

  const Index taps = s.kernel.h * s.kernel.w;
  const Filters filters{dweight, taps, s.in_channels * taps, s.out_channels};
  const Index grain = std::max<Index>(1, Index{4096} / out);
  parallel_ranges(s.in_channels, grain, [&](Index begin, Index end) {
    kernel.transform_filter_gradient({sums.data(), stride, out}, partial_size, partials.count, begin, end,
                                     filters);
  });
}

}  // namespace strata::kernels
