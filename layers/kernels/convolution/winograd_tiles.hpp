// How the Winograd convolution cuts a batch into tiles, and where their frequencies lie.
#pragma once

#include <array>

#include "strata/layers/kernels/convolution/winograd.hpp"
#include "strata/layers/kernels/product/matrix_product.hpp"
#include "strata/layers/kernels/product/row_blocks.hpp"
#include "strata/layers/reference/convolution_shape.hpp"

namespace strata::kernels {

/// The tiles of a batch, in blocks. The smaller a block is, the better its matrices fit the L2 cache, and the
/// less its matrix products make of the filters, which they load: where only few tiles would fit, many are
/// better. A single small image makes two blocks, unless its filters are much.
struct Tiling {
  Tiling(Index batch, Size2D out, Index in_channels, Index out_channels, const Winograd& kernel)
      : side(side_of(batch, out, kernel)),
        window_margin(kernel.kernel - 1),
        rows(ceil_div(out.h, side)),
        columns(ceil_div(out.w, side)),
        edge(edge_of(out.h), edge_of(out.w)),
        blocks(batch, rows,
               tiles_a_block(batch * rows * columns, in_channels, out_channels, kernel.frequencies,
                             (side + window_margin) * (side + window_margin)) /
                   columns) {}

  Index tiles(const RowBlock& block) const { return block.images * block.rows * columns; }
  Index max_tiles() const { return blocks.max_images() * blocks.max_rows() * columns; }

  /// `frequencies`: those that there is room for; `used`: those of a tile.
  static Index tiles_a_block(Index all_tiles, Index in_channels, Index out_channels, Index frequencies,
                             Index used) {
    constexpr Index kBytes = Index{640} << 10;        // of both sides' matrices
    constexpr Index kFilterBytes = Index{768} << 10;  // that each of two threads may as well read
    // So that there is work to share; but pieces of less cost more to share than they save.
    constexpr Index kPieces = 8, kMultiplyAdds = Index{1} << 18;
    constexpr Index kFewest = 16, kFew = 32, kMost = 64;
    const Index filters = used * in_channels * out_channels;
    const Index in_cache = kBytes / (frequencies * (in_channels + out_channels) * Index{sizeof(float)});
    const Index wanted = in_cache < kFew ? kMost : in_cache;
    const Index pieces = std::clamp<Index>(all_tiles * filters / kMultiplyAdds, 2, kPieces);
    const bool halve = filters * Index{sizeof(float)} <= kFilterBytes;
    const Index fewest = halve ? std::min(kFewest, ceil_div(all_tiles, 2)) : kFewest;
    return std::clamp(std::min(wanted, all_tiles / pieces), fewest, kMost);
  }

  // Tiles of 4x4 outputs need the fewest multiplications. But where there are few of them, as of one small
  // image, most of the time goes into reading the filters, of which tiles of 2x2 need 16 frequencies of 36.
  static Index side_of(Index batch, Size2D out, const Winograd& kernel) {
    constexpr Index kFew = 4;
    return kernel.kernel == 3 && batch * ceil_div(out.h, 4) * ceil_div(out.w, 4) <= kFew ? 2 : 4;
  }

  // Whether tiles spare a third of the multiplications of a plain sum, and are more than the one or two for
  // which it takes longer to transform filters of hundreds of channels. Images smaller than a tile, whose
  // kernels see little but zeros, would take more multiplications, and round more.
  static bool pays(const ConvolutionShape& s, Size2D results, const Winograd& kernel) {
    const Index side = side_of(s.batch, results, kernel);
    const auto gain = [&](Index in, Index out, Index padding, Index extent) {  // along an axis
      const Index rest = extent % side, frequencies = extent - rest +
                                                      (rest > 0 ? std::max<Index>(2, rest) : 0) +
                                                      ceil_div(extent, side) * (kernel.kernel - 1);
      Index products = 0;  // those with a pixel, not with a zero beside the image
      for (Index tap = 0; tap < kernel.kernel; ++tap)
        products += std::max<Index>(0, std::min(out, in + padding - tap) - std::max<Index>(0, padding - tap));
      return static_cast<double>(products) / static_cast<double>(frequencies);
    };
    constexpr double kEnough = 1.5;
    return gain(s.in.h, s.out.h, s.padding.h, results.h) * gain(s.in.w, s.out.w, s.padding.w, results.w) >=
               kEnough &&
           s.batch * ceil_div(results.h, 4) * ceil_div(results.w, 4) > 2;
  }

  // Rows, or columns, of the input that so many tiles see.
  Index seen_by(Index tiles) const { return side * tiles + window_margin; }

  // Whether tiles compute no outputs but those of an image of this size.
  static bool is_exact(Size2D out, Index side) { return out.h % side != 1 && out.w % side != 1; }

  // The outputs of the last tile of so many outputs.
  Index edge_of(Index extent) const { return extent % side == 0 ? side : std::max<Index>(2, extent % side); }

  Index side;  // of a tile, in outputs
  Index window_margin;
  Index rows;  // of tiles, of an image
  Index columns;
  Size2D edge;  // of the tile in the corner at the bottom and right
  RowBlocks blocks;
};

/// From one (rows, channels) matrix to the next; a vector between them keeps them from falling into the same
/// cache sets.
inline Index frequency_stride(Index rows, Index channels) {
  return rows * channels + 16;
}

/// The frequencies of (rows, channels) matrices, in someone's memory.
class FrequencyRoom {
 public:
  static Index size(Index frequencies, Index rows, Index channels) {
    return frequencies * frequency_stride(rows, channels);
  }
  FrequencyRoom(float* memory, Index frequencies, Index rows, Index channels)
      : size_(size(frequencies, rows, channels)), view_{memory, frequency_stride(rows, channels), channels} {}

  const Frequencies& view() const { return view_; }
  float* memory() const { return view_.data; }
  float* matrix(Index frequency) const { return view_.data + frequency * view_.stride; }
  Frequencies from_row(Index row) const {
    return {view_.data + row * view_.channels, view_.stride, view_.channels};
  }
  void clear() { std::fill_n(view_.data, size_, 0.0f); }

 private:
  Index size_;
  Frequencies view_;
};

/// Tiles of one size that form a grid in every image of a block.
struct TileGroup {
  Index row;  // of the first in its image's part of the block
  Index column;
  Index rows;
  Index columns;
  Index height;  // of one tile, in outputs
  Index width;
  Index begin;  // the row of the frequencies' matrices of the first image's first tile

  Index tiles() const { return rows * columns; }
};

/// The tiles of a block by size. Smaller ones, at the edges, need fewer frequencies: in this order, those
/// that need a frequency follow each other.
class BlockTiles {
 public:
  BlockTiles(const Winograd& kernel, const Tiling& tiling, const RowBlock& block)
      : kernel_(kernel), side_(tiling.side) {
    const bool last = block.first_row + block.rows == tiling.rows;
    const Index bottom = last && tiling.edge.h < side_ ? 1 : 0, right = tiling.edge.w < side_ ? 1 : 0;
    const Index rows = block.rows - bottom, columns = tiling.columns - right;
    const auto [height, width] = tiling.edge;
    groups_[0] = {rows, 0, bottom, columns, height, side_, 0};
    groups_[1] = {0, 0, rows, columns, side_, side_, 0};
    groups_[2] = {0, columns, rows, right, side_, width, 0};
    groups_[3] = {rows, columns, bottom, right, height, width, 0};
    for (std::size_t i = 1; i < groups_.size(); ++i)
      groups_[i].begin = groups_[i - 1].begin + block.images * groups_[i - 1].tiles();
    count_ = groups_[3].begin + block.images * groups_[3].tiles();
  }

  // The rows of the matrices of frequency number f that are used.
  RowRange rows(Index f) const {
    const Index length = kernel_.kernel + 3;
    Index begin = count_, end = 0;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const TileGroup& group = groups_[i];
      if (!kernel_.uses(f / length, group.height) || !kernel_.uses(f % length, group.width)) continue;
      begin = std::min(begin, group.begin);
      end = std::max(end, i + 1 < groups_.size() ? groups_[i + 1].begin : count_);
    }
    return {begin, std::max<Index>(0, end - begin), count_};
  }

  // body(transforms, group, the row of the first of its tiles in this image).
  template <class Body>
  void for_each_group(Index image, const Body& body) const {
    for (const TileGroup& group : groups_)
      if (group.tiles() > 0)
        body(kernel_.of_tiles(group.height, group.width), group, group.begin + image * group.tiles());
  }

  void transform_input(Index image, const Pixels& pixels, const FrequencyRoom& out) const {
    for_each_group(image, [&](const TileTransforms& transforms, const TileGroup& g, Index row) {
      transforms.input(pixels.at(side_ * g.row, side_ * g.column), g.rows, g.columns, out.from_row(row));
    });
  }
  void transform_gradient(Index image, const Pixels& pixels, const FrequencyRoom& out) const {
    for_each_group(image, [&](const TileTransforms& transforms, const TileGroup& g, Index row) {
      transforms.gradient(pixels.at(side_ * g.row, side_ * g.column), g.rows, g.columns, out.from_row(row));
    });
  }
  /// The addend is of all of the image's pixels in the block.
  void transform_output(Index image, const FrequencyRoom& products, const Finish& finish,
                        const Pixels& pixels) const {
    for_each_group(image, [&](const TileTransforms& transforms, const TileGroup& g, Index row) {
      const Frequencies from = products.from_row(row);
      const Pixels to = pixels.at(side_ * g.row, side_ * g.column);
      if (!finish.bias) return transforms.output(from, g.rows, g.columns, to);
      Finish here = finish;
      if (here.addend) here.addend += to.data - pixels.data;
      transforms.finished_output(from, g.rows, g.columns, to, here);
    });
  }

 private:
  const Winograd& kernel_;
  const Index side_;
  std::array<TileGroup, 4> groups_;
  Index count_;
};

}  // namespace strata::kernels
