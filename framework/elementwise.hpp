// Sums and copies of arrays, as branches of a network need them.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

template <class T>
struct Elementwise {
  /// a[i] += b[i].
  void (*add)(T* a, const T* b, Index count);
  /// y[i] = a[i] + b[i]; y may be a or b.
  void (*sum)(const T* a, const T* b, T* y, Index count);
  /// to[i] = from[i]; the two do not overlap.
  void (*copy)(T* to, const T* from, Index count);
};

}  // namespace strata::kernels
