// The joins of branches from their formulas: what Add and Concat compute. Read it beside the joins' headers.
//
//   sum       y = x_1 + … + x_k. Every input moves y as it moves itself, so dx_1 = … = dx_k = dy: backward is
//             no more than copies of dy.
//   concat    y[n] = the channels of x_1[n], then those of x_2[n], …. Each element of y is one element of one
//             input, so dx_i is the part of dy where x_i went: `split`.
#pragma once

#include <algorithm>
#include <vector>

#include "strata/framework/tensor.hpp"
#include "strata/layers/reference/accumulator.hpp"

namespace strata::reference {

/// The sum of tensors of one shape, at least one.
template <class T>
Tensor<T> sum(const std::vector<Tensor<T>>& x) {
  auto y = empty<T>(x.at(0).shape());
  for (std::size_t i = 0; i < y.size(); ++i) {
    Accumulator<T> total = 0;
    for (const Tensor<T>& input : x) total += static_cast<Accumulator<T>>(input.data()[i]);
    y.data()[i] = static_cast<T>(total);
  }
  return y;
}

/// (N, C_1, …), …, (N, C_k, …) side by side: (N, C_1 + … + C_k, …).
template <class T>
Tensor<T> concat(const std::vector<Tensor<T>>& x) {
  Shape joined = x.at(0).shape();
  joined[1] = 0;
  for (const Tensor<T>& input : x) joined[1] += input.shape()[1];
  auto y = empty<T>(joined);
  T* to = y.data();
  for (std::size_t n = 0; n < joined[0]; ++n)
    for (const Tensor<T>& input : x) {
      const std::size_t size = input.size() / joined[0];  // of a sample
      to = std::copy_n(input.data() + n * size, size, to);
    }
  return y;
}

/// Cuts dy into the gradients of concat's inputs, whose shapes these are.
template <class T>
std::vector<Tensor<T>> split(const Tensor<T>& dy, const std::vector<Shape>& inputs) {
  std::vector<Tensor<T>> dx;
  for (const Shape& shape : inputs) dx.push_back(empty<T>(shape));
  const T* from = dy.data();
  for (std::size_t n = 0; n < dy.shape()[0]; ++n)
    for (Tensor<T>& gradient : dx) {
      const std::size_t size = gradient.size() / dy.shape()[0];
      std::copy_n(from, size, gradient.data() + n * size);
      from += size;
    }
  return dx;
}

}  // namespace strata::reference
