// Gradients by differences, and how far two tensors are apart.
#pragma once

#include <functional>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

/// The gradient of a scalar function by central differences, (f(x + h e_i) - f(x - h e_i)) / 2h.
Tensor<double> numerical_gradient(const std::function<double(const Tensor<double>&)>& f,
                                  const Tensor<double>& x, double h = 1e-5);
/// The same for a tensor-valued f: the gradient of sum(f(x) * dout). Throws ShapeError unless dout has the
/// shape of f(x).
Tensor<double> numerical_gradient(const std::function<Tensor<double>(const Tensor<double>&)>& f,
                                  const Tensor<double>& x, const Tensor<double>& dout, double h = 1e-5);

/// max |a - b| / max(1e-8, |a| + |b|) over all elements, as in CS231n; infinity if one is not a number.
double relative_error(const Tensor<double>& a, const Tensor<double>& b);

namespace detail {
/// sum((a - b) * weight): what cancels, cancels exactly before anything is added.
double weighted_difference(const Tensor<double>& a, const Tensor<double>& b, const Tensor<double>& weight);
}  // namespace detail

}  // namespace strata
