// max(x, 0) with a mask of one bit an element.
#pragma once

#include <cstdint>

#include "strata/framework/index.hpp"

namespace strata::kernels {

template <class T>
struct Rectifier {
  /// x = max(x, 0); bit i % 8 of positive[i / 8] tells whether x[i] > 0. NaN stays NaN.
  void (*forward)(T* x, std::uint8_t* positive, Index count);
  /// dy = 0 where the bit is 0.
  void (*backward)(T* dy, const std::uint8_t* positive, Index count);
  void (*infer)(T* x, Index count);
};

}  // namespace strata::kernels
