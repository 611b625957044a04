#include "strata/framework/initializer.hpp"

#include <cmath>
#include <numbers>

#include "strata/framework/error.hpp"

namespace strata {
namespace {

double pick(const Fans& both, FanMode mode) {
  return mode == FanMode::in ? both.in : both.out;
}

template <class T>
Tensor<T> symmetric_uniform(const Shape& shape, Random& random, double variance) {
  const double bound = std::numbers::sqrt3 * std::sqrt(variance);
  return random.uniform<T>(shape, -bound, bound);
}

}  // namespace

Fans fans(const Shape& weight) {
  if (weight.size() < 2)
    throw ShapeError("fans: expected a weight of at least two axes (out, in, ...), got " + to_string(weight));
  double window = 1;
  for (std::size_t axis = 2; axis < weight.size(); ++axis) window *= static_cast<double>(weight[axis]);
  return {static_cast<double>(weight[1]) * window, static_cast<double>(weight[0]) * window};
}

template <class T>
Tensor<T> kaiming_normal(const Shape& shape, Random& random, FanMode mode, double gain) {
  return random.normal<T>(shape, 0, gain / std::sqrt(pick(fans(shape), mode)));
}

template <class T>
Tensor<T> kaiming_uniform(const Shape& shape, Random& random, FanMode mode, double gain) {
  return symmetric_uniform<T>(shape, random, gain * gain / pick(fans(shape), mode));
}

template <class T>
Tensor<T> xavier_normal(const Shape& shape, Random& random, double gain) {
  const Fans both = fans(shape);
  return random.normal<T>(shape, 0, gain * std::sqrt(2 / (both.in + both.out)));
}

template <class T>
Tensor<T> xavier_uniform(const Shape& shape, Random& random, double gain) {
  const Fans both = fans(shape);
  return symmetric_uniform<T>(shape, random, gain * gain * 2 / (both.in + both.out));
}

#define STRATA_INSTANTIATE(T)                                                    \
  template Tensor<T> kaiming_normal<T>(const Shape&, Random&, FanMode, double);  \
  template Tensor<T> kaiming_uniform<T>(const Shape&, Random&, FanMode, double); \
  template Tensor<T> xavier_normal<T>(const Shape&, Random&, double);            \
  template Tensor<T> xavier_uniform<T>(const Shape&, Random&, double);
STRATA_INSTANTIATE(float)
STRATA_INSTANTIATE(double)

}  // namespace strata
