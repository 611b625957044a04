// The inner loops of the grouped convolution, which works on planes rather than on pixels: vectors hold
// neighboring columns.
//
// A plane is spread over "sheets": padded, and cut by the stride, so that pixel (y, x) lies in sheet
// (Y % stride.h, X % stride.w) at (Y / stride.h, X / stride.w) where Y = y + origin.h, X = x + origin.w. In
// sheets every convolution has stride 1, and each of its taps is a fixed distance.
#pragma once

#include "strata/framework/index.hpp"
#include "strata/framework/size_2d.hpp"

namespace strata::kernels {

/// Only what lies in rows [0, rows) and columns [0, columns) of a sheet exists.
struct SheetLayout {
  Size2D stride;
  Size2D origin;  ///< may be negative
  Index rows;
  Index columns;
  Index pitch;       ///< from row to row
  Index sheet_size;  ///< from sheet to sheet
};

/// Taps that see the same column of consecutive rows of a sheet, from `offset` on. Each row is loaded once
/// for all of them.
struct Chain {
  Index offset;
  Index length;  ///< 1 to kLongest
  static constexpr Index kLongest = 7;
};

/// How inputs become an output: out[r, q] = bias + sum over inputs n, chains and their taps t of weights[…]
/// in[n * input_size + chain.offset + (r + t) * pitch + q]. Weights are ordered by input, chain, tap. Rows
/// are computed in blocks of up to kRowBlock: so many more may be read, and written, than there are.
struct SheetCorrelation {
  const float* in;
  Index pitch;
  Index input_size;
  Index inputs;

  const Chain* chains;
  Index chain_count;

  float* out;  ///< aligned; its pitch is `columns`
  Index rows;
  Index columns;  ///< a multiple of lanes

  static constexpr Index kRowBlock = 8;
};

struct Grouped {
  /// Floats of a vector.
  Index lanes;
  /// What exists of the plane; nothing else of the sheets is written.
  void (*to_sheets)(const float* plane, Size2D size, const SheetLayout& layout, float* sheets);
  /// What exists of the sheets.
  void (*from_sheets)(const SheetLayout& layout, const float* sheets, float* plane, Size2D size);
  void (*correlate)(const SheetCorrelation& correlation, const float* weights, float bias);
  /// sums[weight, lane] += sum of in * out over the places that the weight joins, in that lane. What `out`
  /// holds where no output is must be 0.
  void (*add_products)(const SheetCorrelation& correlation, float* sums);
};

}  // namespace strata::kernels
