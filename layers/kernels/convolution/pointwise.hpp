// What the pointwise convolution moves: neighboring positions of planes, side by side in vectors.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// A panel holds some positions of every channel: element i of channel c is panel[c * pitch + i].
struct Panels {
  /// panel[c * pitch + i] = planes[c * plane + i] for i < count.
  void (*gather)(const float* planes, Index plane, Index channels, Index count, float* panel, Index pitch);
  /// planes[c * plane + i] = panel[c * pitch + i] + bias[c] for i < count, or 0 if `rectify` and that is
  /// negative; `bias` may be null.
  void (*scatter)(const float* panel, Index pitch, const float* bias, bool rectify, float* planes,
                  Index plane, Index channels, Index count);
};

}  // namespace strata::kernels
