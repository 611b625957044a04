// A linear layer by the plain loops of its formula.
#pragma once

#include "strata/strata.hpp"

namespace strata::testing {

struct LinearResult {
  Tensor<double> y, dx, dw, db;
};

/// Without a bias if `bias` has no axis.
inline LinearResult reference_linear(const Tensor<double>& x, const Tensor<double>& weight,
                                     const Tensor<double>& bias, const Tensor<double>& dy) {
  LinearResult r{full<double>(dy.shape(), 0), full<double>(x.shape(), 0), full<double>(weight.shape(), 0),
                 full<double>({weight.shape()[0]}, 0)};
  for (std::size_t n = 0; n < x.shape()[0]; ++n)
    for (std::size_t o = 0; o < weight.shape()[0]; ++o) {
      if (bias.dimension() > 0) r.y(n, o) = bias(o);
      r.db(o) += dy(n, o);
      for (std::size_t i = 0; i < weight.shape()[1]; ++i) {
        r.y(n, o) += x(n, i) * weight(o, i);
        r.dx(n, i) += dy(n, o) * weight(o, i);
        r.dw(o, i) += dy(n, o) * x(n, i);
      }
    }
  return r;
}

}  // namespace strata::testing
