// The functions that squash the real line into an interval.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// In place; `copy`, unless null, gets the same.
template <class T>
struct Squashing {
  /// x = 1 / (1 + exp(-x))
  void (*sigmoid)(T* x, Index count, T* copy);
  void (*tanh)(T* x, Index count, T* copy);
};

}  // namespace strata::kernels
