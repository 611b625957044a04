// How parameters get their first values.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/random.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

/// Connections into and out of one unit. For a weight (out, in, …): in and out times the product of what
/// follows.
struct Fans {
  double in;
  double out;
};

/// Throws ShapeError for fewer than two axes.
Fans fans(const Shape& weight);

enum class FanMode { in, out };

/// N(0, gain^2 / fan). He et al., 2015; gain sqrt(2) suits ReLU.
template <class T>
STRATA_EXPORT Tensor<T> kaiming_normal(const Shape& shape, Random& random, FanMode mode = FanMode::in,
                                       double gain = 1.41421356237309505);
/// U(-b, b), b = gain sqrt(3 / fan).
template <class T>
STRATA_EXPORT Tensor<T> kaiming_uniform(const Shape& shape, Random& random, FanMode mode = FanMode::in,
                                        double gain = 1.41421356237309505);
/// N(0, 2 gain^2 / (fan_in + fan_out)). Glorot and Bengio, 2010.
template <class T>
STRATA_EXPORT Tensor<T> xavier_normal(const Shape& shape, Random& random, double gain = 1);
/// U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)).
template <class T>
STRATA_EXPORT Tensor<T> xavier_uniform(const Shape& shape, Random& random, double gain = 1);

}  // namespace strata
