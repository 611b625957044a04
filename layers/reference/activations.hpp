// The activations from their formulas: what ReLU, LeakyReLU, Sigmoid and Tanh compute, element by element.
// Read it beside the layers' headers.
//
// Backward of any y = f(x) that goes element by element is dx = f'(x) dy. What differs is from what f'(x) is
// had most easily: a rectifier's from the sign of x, one bit; the others' from y.
//
//   leaky ReLU   y = x where x > 0, else slope x      f' = 1 where x > 0, else slope
//   ReLU         the same with a slope of 0
//   sigmoid      y = 1 / (1 + exp(-x))                f' = exp(-x) / (1 + exp(-x))^2 = y (1 - y), because
//                                                     exp(-x) / (1 + exp(-x)) = 1 - y
//   tanh         y = sinh(x) / cosh(x)                f' = (cosh^2 - sinh^2) / cosh^2 = 1 - y^2
#pragma once

#include <algorithm>
#include <cmath>

#include "strata/layers/reference/accumulator.hpp"
#include "strata/layers/reference/bit_mask.hpp"

namespace strata::reference {

/// y = slope x where x <= 0, else x: NaN stays NaN. A slope of 0 gives 0, for -infinity too. Bit i of
/// `positive`, if it is not null, tells whether y[i] is x[i]. y may be x.
template <class T>
void leaky_relu(Index count, T slope, const T* x, T* y, std::uint8_t* positive) {
  if (positive) std::fill_n(positive, mask_bytes(count), std::uint8_t{0});
  for (Index i = 0; i < count; ++i) {
    // Asked this way round, NaN is not on the negative side.
    const bool below = x[i] <= 0;
    if (positive) set_bit(positive, i, !below);
    if (below)
      y[i] = slope == 0 ? T{0} : slope * x[i];
    else
      y[i] = x[i];
  }
}

/// dx = slope dy where x <= 0 (so that the gradient at the kink, x = 0, is the slope), else dy. dx may be dy.
template <class T>
void leaky_relu_backward(Index count, T slope, const std::uint8_t* positive, const T* dy, T* dx) {
  for (Index i = 0; i < count; ++i)
    if (get_bit(positive, i))
      dx[i] = dy[i];
    else
      dx[i] = slope == 0 ? T{0} : slope * dy[i];
}

/// y = 1 / (1 + exp(-x)). y may be x.
template <class T>
void sigmoid(Index count, const T* x, T* y) {
  using Wide = Accumulator<T>;
  for (Index i = 0; i < count; ++i) {
    const auto value = static_cast<Wide>(x[i]);
    // For x < 0 the same, multiplied by exp(x) above and below: exp(-x) would overflow.
    const Wide e = std::exp(-std::abs(value));
    y[i] = static_cast<T>(value < 0 ? e / (1 + e) : 1 / (1 + e));
  }
}

/// dx = dy y (1 - y). dx may be dy.
template <class T>
void sigmoid_backward(Index count, const T* y, const T* dy, T* dx) {
  for (Index i = 0; i < count; ++i) dx[i] = dy[i] * (y[i] * (1 - y[i]));
}

/// y = tanh(x). y may be x.
template <class T>
void hyperbolic_tangent(Index count, const T* x, T* y) {
  for (Index i = 0; i < count; ++i) y[i] = static_cast<T>(std::tanh(static_cast<Accumulator<T>>(x[i])));
}

/// dx = dy (1 - y^2). dx may be dy.
template <class T>
void hyperbolic_tangent_backward(Index count, const T* y, const T* dy, T* dx) {
  for (Index i = 0; i < count; ++i) dx[i] = dy[i] * (1 - y[i] * y[i]);
}

}  // namespace strata::reference
