// Max pooling of planes, remembering where each maximum was.
#pragma once

#include <cstdint>

#include "strata/layers/kernels/pooling/pool_geometry.hpp"

namespace strata::kernels {

/// Position holds a place in the window, row * kw + column.
template <class T, class Position>
struct MaxPool {
  void (*forward)(const T* x, T* y, Position* positions, Index planes, const PoolGeometry& geometry);
  /// Writes every element of dx.
  void (*backward)(const T* dy, const Position* positions, T* dx, Index planes, const PoolGeometry& geometry);
};

}  // namespace strata::kernels
