// What the reference makes of a linear layer's tensors.
#pragma once

#include "strata/framework/tensor.hpp"
#include "strata/layers/reference/linear.hpp"

namespace strata::testing {

struct LinearResult {
  Tensor<double> y, dx, dw, db;
};

/// Without a bias if `bias` has no axis.
inline LinearResult reference_linear(const Tensor<double>& x, const Tensor<double>& weight,
                                     const Tensor<double>& bias, const Tensor<double>& dy) {
  LinearResult r{empty<double>(dy.shape()), empty<double>(x.shape()), empty<double>(weight.shape()),
                 empty<double>({weight.shape()[0]})};
  const auto batch = static_cast<Index>(x.shape()[0]), in = static_cast<Index>(weight.shape()[1]),
             out = static_cast<Index>(weight.shape()[0]);
  reference::linear(batch, in, out, x.data(), weight.data(), bias.dimension() > 0 ? bias.data() : nullptr,
                    r.y.data());
  reference::linear_backward_data(batch, in, out, dy.data(), weight.data(), r.dx.data());
  reference::linear_backward_parameters(batch, in, out, x.data(), dy.data(), r.dw.data(), r.db.data());
  return r;
}

}  // namespace strata::testing
