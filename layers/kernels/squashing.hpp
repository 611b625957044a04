// The functions that squash the real line into an interval, in place.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

template <class T>
struct Squashing {
  /// x = 1 / (1 + exp(-x))
  void (*sigmoid)(T* x, Index count);
  void (*tanh)(T* x, Index count);
};

}  // namespace strata::kernels
