// x where it is positive, slope * x elsewhere, with a mask of one bit an element.
#pragma once

#include <cstdint>

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// With slope 0 what is not positive becomes 0, infinity too. NaN counts as positive: it stays NaN, and its
/// gradient is dy.
template <class T>
struct Rectifier {
  /// Bit i % 8 of positive[i / 8] tells whether x[i] is positive.
  void (*forward)(T* x, std::uint8_t* positive, T slope, Index count);
  /// dy *= slope where the bit is 0.
  void (*backward)(T* dy, const std::uint8_t* positive, T slope, Index count);
  void (*infer)(T* x, T slope, Index count);

  // The same for x = a + b and dy = a + b; y and dx may be a or b.
  void (*forward_sum)(const T* a, const T* b, T* y, std::uint8_t* positive, T slope, Index count);
  void (*backward_sum)(const T* a, const T* b, T* dx, const std::uint8_t* positive, T slope, Index count);
  void (*infer_sum)(const T* a, const T* b, T* y, T slope, Index count);
};

}  // namespace strata::kernels
