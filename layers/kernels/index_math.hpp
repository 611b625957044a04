// Arithmetic of indices. Always inlined: kernels compiled for an instruction set must not share functions.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

[[gnu::always_inline]] constexpr Index larger(Index a, Index b) {
  return a > b ? a : b;
}

[[gnu::always_inline]] constexpr Index smaller(Index a, Index b) {
  return a < b ? a : b;
}

/// a / b rounded up, for a >= 0 and b > 0.
[[gnu::always_inline]] constexpr Index ceil_div(Index a, Index b) {
  return (a + b - 1) / b;
}

/// The least multiple of b that is not below a.
[[gnu::always_inline]] constexpr Index round_up(Index a, Index b) {
  return ceil_div(a, b) * b;
}

}  // namespace strata::kernels
