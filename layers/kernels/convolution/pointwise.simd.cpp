#include "strata/layers/kernels/convolution/pointwise.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/simd/xsimd.hpp"

namespace strata::kernels {
namespace {

using Vector = xsimd::batch<float>;
constexpr Index kLanes = static_cast<Index>(Vector::size);

// Calls vector(i) for vectors of `count` positions, or one(i) for each if they are fewer than a vector. The
// last vector overlaps the one before it rather than be cut.
template <class OfVector, class OfOne>
[[gnu::always_inline]] inline void for_each_position(Index count, const OfVector& vector, const OfOne& one) {
  if (count < kLanes) {
    for (Index i = 0; i < count; ++i) one(i);
    return;
  }
  for (Index i = 0; i + kLanes <= count; i += kLanes) vector(i);
  if (count % kLanes != 0) vector(count - kLanes);
}

void gather(const float* planes, Index plane, Index channels, Index count, float* panel, Index pitch) {
  for (Index c = 0; c < channels; ++c, planes += plane, panel += pitch)
    for_each_position(
        count, [=](Index i) { Vector::load_unaligned(planes + i).store_unaligned(panel + i); },
        [=](Index i) { panel[i] = planes[i]; });
}

template <bool kRectify>
void scatter(const float* panel, Index pitch, const float* bias, float* planes, Index plane, Index channels,
             Index count) {
  for (Index c = 0; c < channels; ++c, panel += pitch, planes += plane) {
    const float offset = bias ? bias[c] : 0.0f;
    for_each_position(
        count,
        [=](Index i) {
          Vector y = Vector::load_unaligned(panel + i) + Vector(offset);
          if constexpr (kRectify) y = xsimd::select(y <= Vector(0.0f), Vector(0.0f), y);
          y.store_unaligned(planes + i);
        },
        [=](Index i) {
          const float y = panel[i] + offset;
          planes[i] = kRectify && y <= 0 ? 0.0f : y;
        });
  }
}

void scatter_and_rectify(const float* panel, Index pitch, const float* bias, bool rectify, float* planes,
                         Index plane, Index channels, Index count) {
  if (rectify) return scatter<true>(panel, pitch, bias, planes, plane, channels, count);
  scatter<false>(panel, pitch, bias, planes, plane, channels, count);
}

constexpr Panels kTable{gather, scatter_and_rectify};

}  // namespace

STRATA_KERNEL_TABLE(kTable);

}  // namespace strata::kernels
