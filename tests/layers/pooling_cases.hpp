// What the pooling tests share: a case, and what the references make of it.
#pragma once

#include <vector>

#include "strata/layers/reference/pooling.hpp"

namespace strata::testing {

struct PoolCase {
  Shape shape;
  Size2D window, stride, padding;
};

inline reference::PoolingShape pooling_shape(const PoolCase& c) {
  return reference::PoolingShape::of(c.shape, c.window, c.stride, c.padding);
}

template <class T>
void reference_max_pool(const PoolCase& c, const Tensor<T>& x, const Tensor<T>& dy, Tensor<T>& y,
                        Tensor<T>& dx) {
  y = empty<T>(dy.shape());
  dx = empty<T>(x.shape());
  std::vector<Index> places(y.size());
  reference::max_pool(pooling_shape(c), x.data(), y.data(), places.data());
  reference::max_pool_backward(pooling_shape(c), dy.data(), places.data(), dx.data());
}

inline void reference_avg_pool(const PoolCase& c, bool count_include_pad, const Tensor<double>& x,
                               const Tensor<double>& dy, Tensor<double>& y, Tensor<double>& dx) {
  y = empty<double>(dy.shape());
  dx = empty<double>(x.shape());
  reference::average_pool(pooling_shape(c), count_include_pad, x.data(), y.data());
  reference::average_pool_backward(pooling_shape(c), count_include_pad, dy.data(), dx.data());
}

}  // namespace strata::testing
