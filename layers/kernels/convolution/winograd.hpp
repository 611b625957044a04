// The transforms of Winograd's convolution F(4x4, kernel x kernel), for one instruction set.
//
// A tile of 4x4 outputs needs a window d of (kernel + 3)^2 inputs. With the filter g it is
//
//     y = A^T [(G g G^T) * (B^T d B)] A,      * element by element
//
// 36 multiplications in place of 144 for 3x3, 64 in place of 400 for 5x5 (Winograd 1980; Lavin and Gray, CVPR
// 2016). Summed over channels, each of these "frequencies" is a matrix product. The gradient of the filter is
// the transposed map: dg = G^T [(A dy A^T) * (B^T d B)] G.
//
// What winograd_convolution.cpp does with them, over the direct convolution:
//   1. products of matrices (tiles, channels), one for each frequency, a quarter of the multiplications.
//   2. blocks of tiles whose matrices stay in the L2 cache, from pixels to pixels.
//   3. smaller tiles at the edges, and 2x2 where few tiles read many filters.
//   4. both gradients in one pass, which makes dy pixels once.
//   5. images that are made, and taken on, block by block (image_stream.hpp), and come or go as pixels.
#pragma once

#include "strata/layers/kernels/convolution/pixels.hpp"

namespace strata::kernels {

/// A (tiles, channels) matrix for each frequency, one every `stride` elements.
struct Frequencies {
  float* data;
  Index stride;
  Index channels;  ///< the length of a row, a multiple of PixelLayout::lanes
};

/// A stack of square filters: tap t of filter (row, column) is data[row * row_stride + column * column_stride
/// + t].
struct Filters {
  float* data;
  Index row_stride;
  Index column_stride;
  Index columns;
};

/// What becomes of outputs: y = max(y + bias[c] + addend, least), where NaN is passed on. With a least of
/// -infinity that is the sum.
struct Finish {
  const float* bias = nullptr;  ///< of all channels of the frequencies; null if outputs stay as they are
  float least = 0;
  const float* addend = nullptr;  ///< lies as the output does, and may be it; or null
};

/// For tiles of one size. Pixels have all channels of the frequencies, or more.
struct TileTransforms {
  /// B^T d B for a grid of tiles, side by side.
  void (*input)(Pixels input, Index tile_rows, Index tile_columns, Frequencies out);
  /// A dy A^T for a grid of tiles of output gradients.
  void (*gradient)(Pixels gradient, Index tile_rows, Index tile_columns, Frequencies out);
  /// A^T m A: a grid of tiles of outputs.
  void (*output)(Frequencies products, Index tile_rows, Index tile_columns, Pixels output);
  void (*finished_output)(Frequencies products, Index tile_rows, Index tile_columns, Pixels output,
                          Finish finish);
};

/// At the edge of an image, tiles have what is left of 4 outputs, and need fewer frequencies; for one output,
/// two are computed. An image may have tiles of 2x2 throughout, with the same filters.
struct Winograd {
  Index kernel;
  Index frequencies;  ///< of a tile of 4x4 outputs

  TileTransforms tiles[3][3];  ///< of (height - 2, width - 2) outputs
  const TileTransforms& of_tiles(Index height, Index width) const { return tiles[height - 2][width - 2]; }
  /// Whether a tile needs this row (or column) of frequencies, given its height (width).
  bool uses(Index frequency, Index size) const {
    if (size == 3) return frequency != kernel + 2;
    return size == 4 || frequency <= kernel - 1 || frequency == kernel + 2;
  }

  /// G g G^T for the filters of rows [begin, end): row r, column c of the matrices of `out` that tiles of
  /// (side, side) outputs use. With `rotate`, the filters are turned by 180 degrees.
  void (*transform_filters)(Filters filters, Index side, bool rotate, Index begin, Index end,
                            Frequencies out);
  /// filters = G^T (sum over p of partials[p * partial_stride]) G.
  void (*transform_filter_gradient)(Frequencies partials, Index partial_stride, Index partial_count,
                                    Index begin, Index end, Filters filters);
};

/// One for each size of the kernel.
struct WinogradFamily {
  Winograd of_3x3;
  Winograd of_5x5;
};

}  // namespace strata::kernels
