// The inner loops of the depthwise convolution of stride 1 whose results have the size of its planes: on
// planes as they lie in memory, row behind row, each tap is a fixed distance. Vectors hold neighbors whatever
// the width; what a tap would see beyond the end of a row, which is the other end of the next, is masked out.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// The taps of a filter, by columns: tap (i, j) of a pixel is `first + i * row + j * column` elements behind
/// it.
struct DepthwiseTaps {
  Index rows;
  Index columns;
  Index first;
  Index row;
  Index column;
  /// For each column of taps, of each pixel: all bits if the tap lies in the pixel's row, else none. Null for
  /// a column of which all do.
  const float* const* masks;
};

struct Depthwise {
  /// y[p] = bias + sum over i, j of weights[i, j] x[p + tap (i, j)] for p in [0, size). What x holds around
  /// the plane is 0, and as far as taps and a vector reach it is there.
  void (*correlate)(const float* x, const DepthwiseTaps& taps, const float* weights, float bias, float* y,
                    Index size);
  /// sums[i, j, lane] += sum of x[p + tap (i, j)] dy[p] over every `lanes`th p, for lanes of PixelLayout. dy
  /// is followed by zeros up to a whole vector.
  void (*add_products)(const float* x, const DepthwiseTaps& taps, const float* dy, Index size, float* sums);
};

}  // namespace strata::kernels
