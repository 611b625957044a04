// The transforms of Winograd's convolution F(4x4, 3x3), for one instruction set.
//
// A tile of 4x4 outputs of a 3x3 convolution needs 6x6 inputs d. With the filter g it is
//
//     y = A^T [(G g G^T) * (B^T d B)] A,      * element by element
//
// 36 multiplications in place of 144 (Winograd 1980; Lavin and Gray, CVPR 2016). Summed over channels, each
// of the 36 "frequencies" is a matrix product. The matrices evaluate polynomials at 0, +-5/8, +-3/2 and
// infinity (Toom-Cook): with these points the rounding errors are 2 to 4 times smaller than with the usual 0,
// +-1, +-2 (cf. Barabasz et al., ACM TOMS 2020). The gradient of the filter is the transposed map: dg = G^T
// [(A dy A^T) * (B^T d B)] G.
#pragma once

#include "strata/layers/kernels/pixels.hpp"

namespace strata::kernels {

/// A (tiles, channels) matrix for each of the 36 frequencies, one every `stride` elements.
struct Frequencies {
  float* data;
  Index stride;
  Index channels;  ///< the length of a row, a multiple of PixelLayout::lanes
};

/// A stack of 3x3 filters: tap t of filter (row, column) is data[row * row_stride + column * column_stride +
/// t].
struct Filters {
  float* data;
  Index row_stride;
  Index column_stride;
  Index columns;
};

/// The channels of pixels, too, are padded to a multiple of PixelLayout::lanes.
struct Winograd {
  /// B^T d B for a grid of tiles, whose 6x6 inputs start at every fourth row and column.
  void (*transform_input)(Pixels input, Index tile_rows, Index tile_columns, Frequencies out);
  /// A dy A^T for a grid of tiles of 4x4 output gradients.
  void (*transform_gradient)(Pixels gradient, Index tile_rows, Index tile_columns, Frequencies out);
  /// A^T m A: a grid of tiles of 4x4 outputs.
  void (*transform_output)(Frequencies products, Index tile_rows, Index tile_columns, Pixels output);

  /// G g G^T for the filters of rows [begin, end): row r, column c of every matrix of `out`. With `rotate`,
  /// the filters are turned by 180 degrees.
  void (*transform_filters)(Filters filters, bool rotate, Index begin, Index end, Frequencies out);
  /// filters = G^T (sum over p of partials[p * partial_stride]) G.
  void (*transform_filter_gradient)(Frequencies partials, Index partial_stride, Index partial_count,
                                    Index begin, Index end, Filters filters);
};

}  // namespace strata::kernels
