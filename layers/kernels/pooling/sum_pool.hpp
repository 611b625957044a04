// Weighted sums of windows, and the spreading of values over windows, which is their derivative.
#pragma once

#include "strata/layers/kernels/pooling/pool_geometry.hpp"

namespace strata::kernels {

/// The windows of a plane, and what multiplies their sums: window (i, j) counts rows[i] * columns[j].
/// What lies outside the plane counts as zero.
template <class T>
struct WeightedWindows {
  PoolGeometry geometry;
  const T* rows;
  const T* columns;

  /// Columns from the first window's first to the last one's end, or to the end of the plane.
  Index padded_width() const {
    const Index windows = (geometry.out_w - 1) * geometry.sw + geometry.kw, plane = geometry.pw + geometry.w;
    return (windows > plane ? windows : plane) + geometry.sw;
  }
};

template <class T>
struct SumPool {
  /// y = weighted sums of the windows of x. `row` is working memory for padded_width() values.
  void (*sum)(const T* x, T* y, Index planes, const WeightedWindows<T>& windows, T* row);
  /// x = for each pixel the weighted sum of the y of the windows that it lies in.
  void (*spread)(const T* y, T* x, Index planes, const WeightedWindows<T>& windows, T* row);
  /// y[p] = the mean of the `size` values of plane p: its first one plus that of the differences from it,
  /// which are added up by fours in T, and these in double.
  void (*mean)(const T* x, T* y, Index planes, Index size);
};

}  // namespace strata::kernels
