#include <limits>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/convolution/algorithms.hpp"
#include "strata/layers/kernels/convolution/padded_bias.hpp"
#include "strata/layers/kernels/convolution/winograd_tiles.hpp"
#include "strata/layers/kernels/product/matrix_product.hpp"

namespace strata::kernels {
namespace {

const Winograd& transforms(Index kernel) {
  const auto& family = table<WinogradFamily>();
  return kernel == 3 ? family.of_3x3 : family.of_5x5;
}

// Rows that are worth a piece of work, where each reads or writes so many floats.
Index rows_worth_a_piece(Index floats_a_row) {
  constexpr Index kFloats = Index{1} << 15;
  return std::max<Index>(1, kFloats / floats_a_row);
}

Index tile(const ConvolutionShape& s) {
  return Tiling::side_of(s.batch, s.out, transforms(s.kernel.h));
}

// Where the images of an activation come from.
struct Input {
  const ImageSource<float>& source;
  Index channels;
  Size2D size;

  Index image_size() const { return channels * size.h * size.w; }
  Index row_size() const { return channels * size.w; }
  /// What `read` needs besides: planes that are made have to be turned.
  Index room() const {
    return source.needs_room() && source.layout() == ImageLayout::planes ? image_size() : 0;
  }
  /// Some rows of an image; all of them, of one that is made.
  void read(Index image, const RowRange& rows, float* room, const Pixels& to) const {
    const auto& layout = table<PixelLayout>();
    const bool as_pixels = source.layout() == ImageLayout::pixels, made = source.needs_room();
    if (as_pixels && made) return source.make(image, to.data, to.row_stride);
    if (made) source.make(image, room, size.w);
    const Planes<const float> from{made ? room : source.at(image, image_size(), row_size()), channels, size};
    if (as_pixels)
      layout.copy(from.pixels(0, rows.begin), channels, rows.count(), size.w, to);
    else
      layout.to_pixels(from.at(0, rows.begin), from.plane(), channels, rows.count(), size.w, to);
  }
};

// Where the images of an activation go.
struct Output {
  const ImageSink<float>& sink;
  Index channels;
  Size2D size;

  bool as_pixels() const { return sink.layout == ImageLayout::pixels; }
  Planes<float> planes() const { return {sink.tensor, channels, size}; }
  /// The image's rows that a block has.
  RowRange rows(const Tiling& tiling, const RowBlock& block) const {
    return {tiling.side * block.first_row, tiling.side * block.rows, size.h};
  }
  /// Has the cache fetch part number `part` of the memory that a block's pixels will take: written tile by
  /// tile, they would wait for it. (Inlined, as GCC drops calls of functions that do no more.)
  [[gnu::always_inline]] void fetch(const Tiling& tiling, const RowBlock& block, Index part,
                                    Index parts) const {
    constexpr Index kLine = 64 / Index{sizeof(float)};
    const RowRange first_rows = rows(tiling, block);
    const Index row = channels * size.w, all = ((block.images - 1) * size.h + first_rows.count()) * row;
    const Index size_of_part = ceil_div(all, parts), end = std::min((part + 1) * size_of_part, all);
    const float* const first = sink.tensor + (block.image * size.h + first_rows.begin) * row;
    for (Index i = part * size_of_part; i < end; i += kLine)
      __builtin_prefetch(first + i, /*write=*/0, /*into L2=*/2);
  }
  void tell(const RowBlock& block) const {
    if (sink.done) sink.done(block.image, block.images);
  }
};

// B^T d B of a block's tiles. Tile (0, 0) starts `padding` above and left of the image.
void transform_block(const Winograd& kernel, const Tiling& tiling, const RowBlock& block, const Input& x,
                     float* room, Size2D padding, PixelRoom pixels, const FrequencyRoom& out) {
  const Index top = tiling.side * block.first_row - padding.h;
  const RowRange rows(top, tiling.seen_by(block.rows), x.size.h);
  const BlockTiles tiles(kernel, tiling, block);
  pixels.clear_around(rows.from(top), padding.w, x.size.w);
  for (Index n = 0; n < block.images; ++n) {
    x.read(block.image + n, rows, room, pixels.at(rows.begin - top, padding.w));
    tiles.transform_input(n, pixels.view(), out);
  }
}

// Matrices (inputs, columns) of the filters, each of whose rows is an input channel and each column an output
// channel.
struct FilterFrequencies {
  FilterFrequencies(Index inputs, Index outputs)
      : rows(inputs), columns(round_up(outputs, table<PixelLayout>().lanes)) {}
  Index stride() const { return frequency_stride(rows, columns); }

  /// For tiles of (side, side) outputs; those for 4 serve for 2.
  Tensor<float> transform(const Winograd& kernel, const Filters& filters, Index side, bool rotate) const {
    auto result = empty<float>({static_cast<std::size_t>(kernel.frequencies * stride())});
    parallel_ranges(rows, rows_worth_a_piece(kernel.frequencies * columns), [&](Index begin, Index end) {
      kernel.transform_filters(filters, side, rotate, begin, end, {result.data(), stride(), columns});
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

// Transformed filters, or the columns from `first` on of their matrices.
struct FilterView {
  const float* data;
  FilterFrequencies matrices;

  FilterView from(Index first) const { return {data + first, matrices}; }
};

// The block's y, from the frequencies of x: a matrix product for each, and back to images. `products` has
// room for as many channels as y has; `inputs`, which become those of y's pixels, too.
void multiply_block(const Winograd& kernel, const Tiling& tiling, const RowBlock& block,
                    const FrequencyRoom& inputs, const FilterView& filters, const FrequencyRoom& products,
                    Finish finish, const Output& y, Index first, Index channels) {
  const Index in = inputs.view().channels, out = products.view().channels, columns = tiling.columns;
  const BlockTiles tiles(kernel, tiling, block);
  const bool in_place = y.as_pixels() && Tiling::is_exact(y.size, tiling.side);
  for (Index f = 0; f < kernel.frequencies; ++f) {
    if (in_place) y.fetch(tiling, block, f, kernel.frequencies);
    if (const RowRange used = tiles.rows(f); used.count() > 0)
      multiply({used.count(), filters.matrices.rows, channels, inputs.matrix(f) + used.begin * in, in, 1,
                filters.data + f * filters.matrices.stride(), filters.matrices.columns,
                products.matrix(f) + used.begin * out, out, false});
  }

  const auto& layout = table<PixelLayout>();
  const PixelRoom pixels(inputs.memory(), tiling.side * block.rows, tiling.side * columns, out);
  const RowRange rows = y.rows(tiling, block);
  const Planes<float> planes = y.planes();
  for (Index n = 0; n < block.images; ++n) {
    const Index image = block.image + n;
    const Pixels place = planes.pixels(image, rows.begin).from_channel(first);
    const Pixels results = in_place ? place : pixels.view();
    if (y.sink.addend) finish.addend = y.sink.addend + (place.data - y.sink.tensor);
    tiles.transform_output(n, products, finish, results);
    if (!y.as_pixels())
      layout.from_pixels(results, /*bias=*/nullptr, planes.at(image, rows.begin, first), planes.plane(),
                         channels, rows.count(), y.size.w);
    else if (!in_place)
      layout.copy(results, channels, rows.count(), y.size.w, place);
  }
}

// y = filters applied to x.
void correlate(const Winograd& kernel, const Input& x, Index batch, Size2D padding, const float* filters,
               const float* bias, bool rectify, const Output& y) {
  const Index lanes = table<PixelLayout>().lanes, in = round_up(x.channels, lanes);
  const FilterView all_filters{filters, FilterFrequencies(x.channels, y.channels)};

  const Tiling tiling(batch, y.size, in, round_up(y.channels, lanes), kernel);
  const Slices slices(tiling.blocks.count(), y.channels);
  const PaddedBias padded_bias(bias, 1, y.channels, round_up(y.channels, lanes),
                               /*always=*/rectify || y.sink.addend);
  parallel_for(tiling.blocks.count() * slices.count, [&](Index piece) {
    const RowBlock block = tiling.blocks[piece / slices.count];
    const Index first = piece % slices.count * slices.width;
    const Index channels = std::min(slices.width, y.channels - first), tiles = tiling.tiles(block);
    const Index out = round_up(channels, lanes), rows = tiling.seen_by(block.rows),
                columns = tiling.seen_by(tiling.columns);
    // What is over before it is needed shares memory: the less there is, the more of it stays in L2.
    const Index pixel_size = PixelRoom::size(rows, columns, in);
    const Scratch<float> first_half(
        std::max(FrequencyRoom::size(kernel.frequencies, tiles, in),
                 PixelRoom::size(tiling.side * block.rows, tiling.side * tiling.columns, out)));
    const Scratch<float> second_half(
        std::max(FrequencyRoom::size(kernel.frequencies, tiles, out), pixel_size + x.room()));
    const FrequencyRoom inputs(first_half.data(), kernel.frequencies, tiles, in);
    FrequencyRoom products(second_half.data(), kernel.frequencies, tiles, out);
    transform_block(kernel, tiling, block, x, second_half.data() + pixel_size, padding,
                    PixelRoom(second_half.data(), rows, columns, in), inputs);
    if (channels % lanes != 0) products.clear();
    multiply_block(
        kernel, tiling, block, inputs, all_filters.from(first), products,
        {padded_bias.from_channel(first), rectify ? 0.0f : -std::numeric_limits<float>::infinity()}, y, first,
        channels);
    y.tell(block);
  });
}

// The window of dx at a pixel starts so far above and left of it in dy.
Size2D padding_of_gradient(const ConvolutionShape& s) {
  return {s.kernel.h - 1 - s.padding.h, s.kernel.w - 1 - s.padding.w};
}

// What dy is correlated with to give dx: the filters turned by 180 degrees, channels swapped.
Tensor<float> turned_filters(const Winograd& kernel, const ConvolutionShape& s, const float* weight) {
  const Index taps = s.kernel.h * s.kernel.w;
  const Filters filters{const_cast<float*>(weight), s.in_channels * taps, taps, s.in_channels};
  return FilterFrequencies(s.out_channels, s.in_channels)
      .transform(kernel, filters, Tiling::side_of(s.batch, s.in, kernel), /*rotate=*/true);
}

// dweight and, where that can be had in the same pass, dx: dy is made pixels once for both.
class BackwardPass {
 public:
  BackwardPass(const ConvolutionShape& shape, const ImageSource<float>& x, const ImageSource<float>& dy)
      : s_(shape),
        x_{x, shape.in_channels, shape.in},
        dy_{dy, shape.out_channels, shape.out},
        kernel_(transforms(shape.kernel.h)),
        in_(round_up(shape.in_channels, table<PixelLayout>().lanes)),
        out_(round_up(shape.out_channels, table<PixelLayout>().lanes)),
        tiling_(shape.batch, shape.out, in_, out_, kernel_),
        stride_(frequency_stride(shape.in_channels, out_)),
        partials_(tiling_.blocks.count(), partial_size() * Index{sizeof(float)}) {}

  // Blocks of dx are those of dy, need nothing of x that another block's dx may have overwritten, and
  // partial sums, of which each is one thread's, are no fewer than a processor's threads.
  bool can_give_dx() const {
    constexpr Index kEnough = 16;
    return s_.in == s_.out && !tiling_.blocks.split_images() && partials_.count >= kEnough;
  }

  void run(float* dweight, const float* turned = nullptr, const ImageSink<float>& dx = nullptr) const {
    Scratch<float> sums(partials_.count * partial_size());
    parallel_for(partials_.count, [&](Index partial) {
      run_partial(partial, sums.data() + partial * partial_size(), turned, dx);
    });
    const Index taps = s_.kernel.h * s_.kernel.w;
    const Filters filters{dweight, taps, s_.in_channels * taps, s_.out_channels};
    const Index grain = rows_worth_a_piece(partials_.count * kernel_.frequencies * out_);
    parallel_ranges(s_.in_channels, grain, [&](Index begin, Index end) {
      kernel_.transform_filter_gradient({sums.data(), stride_, out_}, partial_size(), partials_.count, begin,
                                        end, filters);
    });
  }

 private:
  // A partial sum holds a matrix (in_channels, out) for each frequency.
  Index partial_size() const { return kernel_.frequencies * stride_; }

  void run_partial(Index partial, float* sum, const float* turned, const ImageSink<float>& dx) const {
    if (out_ != s_.out_channels) std::fill_n(sum, partial_size(), 0.0f);
    const Index side = tiling_.side, max_rows = tiling_.blocks.max_rows(), columns = tiling_.columns,
                tiles = tiling_.max_tiles();
    const Index x_rows = tiling_.seen_by(max_rows), x_columns = tiling_.seen_by(columns);
    const Index x_size = PixelRoom::size(x_rows, x_columns, in_);
    const Scratch<float> first_half(FrequencyRoom::size(kernel_.frequencies, tiles, in_));
    const Scratch<float> second_half(
        std::max({FrequencyRoom::size(kernel_.frequencies, tiles, out_), x_size + x_.room(), dy_.room(),
                  PixelRoom::size(side * max_rows, side * columns, in_)}));
    const FrequencyRoom inputs(first_half.data(), kernel_.frequencies, tiles, in_);
    const FrequencyRoom gradients(second_half.data(), kernel_.frequencies, tiles, out_);
    // The pixels of all of a block's images; for dx, each with what its windows see around it.
    const Size2D margin = turned ? padding_of_gradient(s_) : Size2D(0);
    const Index height = turned ? tiling_.seen_by(max_rows) : side * max_rows;
    PixelScratch gradient_pixels(height * tiling_.blocks.max_images(),
                                 turned ? tiling_.seen_by(columns) : side * columns, out_);
    const Index first = partial * partials_.blocks_each;
    const Index last = std::min(first + partials_.blocks_each, tiling_.blocks.count());
    for (Index b = first; b < last; ++b) {
      const RowBlock block = tiling_.blocks[b];
      const BlockTiles block_tiles(kernel_, tiling_, block);
      transform_block(kernel_, tiling_, block, x_, second_half.data() + x_size, s_.padding,
                      {second_half.data(), tiling_.seen_by(block.rows), x_columns, in_}, inputs);

      const RowRange rows(side * block.first_row, side * block.rows, s_.out.h);
      // What is beside the images stays clear, and what is below a part of one is not always the same.
      if (b == first)
        gradient_pixels.clear();
      else if (tiling_.blocks.split_images())
        gradient_pixels.clear_rows(rows.count(), side * block.rows);
      for (Index n = 0; n < block.images; ++n)
        dy_.read(block.image + n, rows, second_half.data(),
                 gradient_pixels.at(n * height + margin.h, margin.w));
      for (Index n = 0; n < block.images; ++n)
        block_tiles.transform_gradient(n, gradient_pixels.at(n * height + margin.h, margin.w), gradients);

      for (Index f = 0; f < kernel_.frequencies; ++f) {
        const RowRange used = block_tiles.rows(f);
        if (used.count() > 0)
          multiply({s_.in_channels, used.count(), s_.out_channels, inputs.matrix(f) + used.begin * in_, 1,
                    in_, gradients.matrix(f) + used.begin * out_, out_, sum + f * stride_, out_, b != first});
        else if (b == first)
          std::fill_n(sum + f * stride_, s_.in_channels * out_, 0.0f);
      }
      if (!turned) continue;
      for (Index n = 0; n < block.images; ++n)
        block_tiles.transform_input(n, gradient_pixels.at(n * height, 0), gradients);
      const FilterView filters{turned, FilterFrequencies(s_.out_channels, s_.in_channels)};
      const Output output{dx, s_.in_channels, s_.in};
      multiply_block(kernel_, tiling_, block, gradients, filters, /*products=*/inputs, /*finish=*/{}, output,
                     0, s_.in_channels);
      output.tell(block);
    }
  }

  const ConvolutionShape& s_;
  Input x_;
  Input dy_;
  const Winograd& kernel_;
  Index in_;
  Index out_;
  Tiling tiling_;
  Index stride_;
  Partials partials_;
};

Tensor<float> filters(const ConvolutionShape& s, const float* weight) {
  // Kernels only read filters through this view.
  const Index taps = s.kernel.h * s.kernel.w;
  const Filters view{const_cast<float*>(weight), taps, s.in_channels * taps, s.out_channels};
  return FilterFrequencies(s.in_channels, s.out_channels)
      .transform(transforms(s.kernel.h), view, tile(s), /*rotate=*/false);
}

void forward(const ConvolutionShape& s, const ImageSource<float>& x, const float* filters, const float* bias,
             const ImageSink<float>& y) {
  correlate(transforms(s.kernel.h), {x, s.in_channels, s.in}, s.batch, s.padding, filters, bias, s.rectify,
            {y, s.out_channels, s.out});
}

// dx is the correlation of dy with the filters turned by 180 degrees, input and output channels swapped.
void backward_data(const ConvolutionShape& s, const ImageSource<float>& dy, const float* weight,
                   const float* bias, const ImageSink<float>& dx) {
  const Winograd& kernel = transforms(s.kernel.h);
  correlate(kernel, {dy, s.out_channels, s.out}, s.batch, padding_of_gradient(s),
            turned_filters(kernel, s, weight).data(), bias, /*rectify=*/false, {dx, s.in_channels, s.in});
}

void backward_weights(const ConvolutionShape& s, const ImageSource<float>& x, const ImageSource<float>& dy,
                      float* dweight) {
  BackwardPass(s, x, dy).run(dweight);
}

void backward(const ConvolutionShape& s, const ImageSource<float>& x, const ImageSource<float>& dy,
              const float* weight, float* dweight, const ImageSink<float>& dx) {
  if (const BackwardPass pass(s, x, dy); pass.can_give_dx())
    return pass.run(dweight, turned_filters(transforms(s.kernel.h), s, weight).data(), dx);
  const ImageSource<float> kept = dy.kept();
  BackwardPass(s, x, kept).run(dweight);
  backward_data(s, dy.as_kept(), weight, nullptr, dx);
}

// Results of this size, y or dx. Where there is next to nothing to add up over channels, it was slower.
bool suits(const ConvolutionShape& s, Size2D results) {
  return s.winograd && (s.kernel == Size2D(3) || s.kernel == Size2D(5)) && s.stride == Size2D(1) &&
         s.dilation == Size2D(1) && s.groups == 1 && std::max(s.padding.h, s.padding.w) < s.kernel.h &&
         s.in_channels > 1 && Tiling::pays(s, results, transforms(s.kernel.h));
}
bool can_backward_data(const ConvolutionShape& s, ImageLayout /*dx*/) {
  return suits(s, s.in);
}

// An image's three channels do not fill the vectors of the transforms: directly, a convolution of 3x3 takes
// 0.8 to 0.9 of the time, and so does one of 5x5 with AVX-512; with AVX2 that takes 1.3 of it.
bool can(const ConvolutionShape& s) {
  constexpr Index kFew = 4;
  const bool few = s.in_channels <= kFew && kDirect.can_forward(s) &&
                   (s.kernel == Size2D(3) || instruction_set() == InstructionSet::avx512);
  return suits(s, s.out) && !few;
}

// Images may be made as they are needed, and are given on as they are complete, where blocks are whole images
// and more than one.
ImageAbilities abilities(const ConvolutionShape& s) {
  const Index lanes = table<PixelLayout>().lanes;
  const RowBlocks blocks = Tiling(s.batch, s.out, round_up(s.in_channels, lanes),
                                  round_up(s.out_channels, lanes), transforms(s.kernel.h))
                               .blocks;
  return {.streams = s.in == s.out && !blocks.split_images() && blocks.count() > 1,
          .x_as_pixels = s.in_channels % kPixelChannels == 0,
          .y_as_pixels = s.out_channels % kPixelChannels == 0,
          .addend = Tiling::is_exact(s.out, tile(s))};
}

}  // namespace

constinit const ConvolutionAlgorithm<float> kWinograd{
    "winograd",         can,     forward, can_backward_data, backward_data, can, backward_weights,
    /*rectifies=*/true, filters, tile,    abilities,         backward};

}  // namespace strata::kernels
