// The taps of a strided, dilated window, sorted by where they are in multiples of the stride: padded pixel
// (Y, X) is at place (Y / stride.h, X / stride.w) of the phase (Y % stride.h, X % stride.w). Within phases a
// strided convolution has stride 1, and so do its derivatives.
#pragma once

#include <vector>

#include "strata/layers/reference/convolution_shape.hpp"

namespace strata::kernels {

/// One tap along one axis.
struct AxisTap {
  Index tap;
  Index place;
};

/// Those that are in a phase, by place.
inline std::vector<AxisTap> axis_taps(Index kernel, Index dilation, Index stride, Index phase) {
  std::vector<AxisTap> taps;
  for (Index t = 0; t < kernel; ++t)
    if (t * dilation % stride == phase) taps.push_back({t, t * dilation / stride});
  return taps;
}

/// The largest place of a tap of any phase.
inline Size2D reach(const ConvolutionShape& s) {
  return {(s.kernel.h - 1) * s.dilation.h / s.stride.h, (s.kernel.w - 1) * s.dilation.w / s.stride.w};
}

/// Seen from the other side, as in backward-data: the last tap comes first, at reach - place.
inline std::vector<AxisTap> mirrored(const std::vector<AxisTap>& taps, Index reach) {
  std::vector<AxisTap> result;
  for (auto tap = taps.rbegin(); tap != taps.rend(); ++tap) result.push_back({tap->tap, reach - tap->place});
  return result;
}

}  // namespace strata::kernels
