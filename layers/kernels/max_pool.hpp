// Max pooling of planes, remembering where each maximum was.
#pragma once

#include <cstdint>

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// A window of kh x kw that moves in steps of sh x sw over an h x w plane padded by ph and pw; out_h x out_w
/// results.
struct PoolGeometry {
  Index h, w, kh, kw, sh, sw, ph, pw, out_h, out_w;
};

/// Position holds a place in the window, row * kw + column.
template <class T, class Position>
struct MaxPool {
  void (*forward)(const T* x, T* y, Position* positions, Index planes, const PoolGeometry& geometry);
  /// Writes every element of dx.
  void (*backward)(const T* dy, const Position* positions, T* dx, Index planes, const PoolGeometry& geometry);
};

}  // namespace strata::kernels
