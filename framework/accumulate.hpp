// The sum of two tensors, as branches of a network need it.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

template <class T>
struct Accumulate {
  /// a[i] += b[i].
  void (*add)(T* a, const T* b, Index count);
};

}  // namespace strata::kernels
