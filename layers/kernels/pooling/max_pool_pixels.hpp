// Max pooling of images whose channels are innermost, remembering where each maximum was.
#pragma once

#include <cstdint>

#include "strata/layers/kernels/pooling/pool_geometry.hpp"

namespace strata::kernels {

/// Images (h, w, channels) to (out_h, out_w, channels), like MaxPool; `channels` is a multiple of
/// kPixelChannels. Of float: only such images are ever of pixels.
template <class T, class Position>
struct MaxPoolPixels {
  void (*forward)(const T* x, T* y, Position* positions, Index images, Index channels,
                  const PoolGeometry& geometry);
  /// Writes every element of dx.
  void (*backward)(const T* dy, const Position* positions, T* dx, Index images, Index channels,
                   const PoolGeometry& geometry);
};

}  // namespace strata::kernels
