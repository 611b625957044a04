// Nearest-neighbor upsampling by the plain loops of its formula.
#pragma once

#include "strata/strata.hpp"

namespace strata::testing {

template <class T>
void reference_upsample(const Size2D& scale, const Tensor<T>& x, const Tensor<T>& dy, Tensor<T>& y,
                        Tensor<T>& dx) {
  const auto scale_h = static_cast<std::size_t>(scale.h), scale_w = static_cast<std::size_t>(scale.w);
  y = empty<T>({x.shape()[0], x.shape()[1], x.shape()[2] * scale_h, x.shape()[3] * scale_w});
  dx = full<T>(x.shape(), T{0});
  for (std::size_t n = 0; n < y.shape()[0]; ++n)
    for (std::size_t c = 0; c < y.shape()[1]; ++c)
      for (std::size_t i = 0; i < y.shape()[2]; ++i)
        for (std::size_t j = 0; j < y.shape()[3]; ++j) {
          y(n, c, i, j) = x(n, c, i / scale_h, j / scale_w);
          dx(n, c, i / scale_h, j / scale_w) += dy(n, c, i, j);
        }
}

}  // namespace strata::testing
