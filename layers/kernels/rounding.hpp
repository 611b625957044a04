// Integer division upward.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// a / b rounded up, for a >= 0 and b > 0.
constexpr Index ceil_div(Index a, Index b) {
  return (a + b - 1) / b;
}

/// The least multiple of b that is not below a.
constexpr Index round_up(Index a, Index b) {
  return ceil_div(a, b) * b;
}

}  // namespace strata::kernels
