#include "strata/layers/pooling/pooling.hpp"

#include <algorithm>

#include "strata/framework/error.hpp"

namespace strata {

Pooling::Pooling(const char* type, Size2D window_, std::optional<Size2D> stride_, Size2D padding_)
    : window(window_), stride(stride_.value_or(window_)), padding(padding_) {
  const std::string name = type;
  if (window.h < 1 || window.w < 1)
    throw ArgumentError(name + ": expected a window of at least 1x1, got " + to_string(window));
  if (stride.h < 1 || stride.w < 1)
    throw ArgumentError(name + ": expected a stride of at least 1x1, got " + to_string(stride));
  if (padding.h < 0 || padding.w < 0 || padding.h > window.h / 2 || padding.w > window.w / 2)
    throw ArgumentError(name + ": expected a padding from 0 to half the window of " + to_string(window) +
                        ", got " + to_string(padding));
}

bool Pooling::fits(const Shape& input) const {
  return input.size() == 4 && static_cast<Index>(input[2]) >= std::max<Index>(1, window.h - 2 * padding.h) &&
         static_cast<Index>(input[3]) >= std::max<Index>(1, window.w - 2 * padding.w);
}

Shape Pooling::output_shape(const Shape& input) const {
  const auto extent = [](std::size_t in, Index window_, Index stride_, Index padding_) {
    return static_cast<std::size_t>((static_cast<Index>(in) + 2 * padding_ - window_) / stride_ + 1);
  };
  return {input[0], input[1], extent(input[2], window.h, stride.h, padding.h),
          extent(input[3], window.w, stride.w, padding.w)};
}

std::string Pooling::expected() const {
  return "(N, C, H, W) with H >= " + std::to_string(std::max<Index>(1, window.h - 2 * padding.h)) +
         " and W >= " + std::to_string(std::max<Index>(1, window.w - 2 * padding.w));
}

std::string Pooling::options() const {
  return "window " + to_string(window) + ", stride " + to_string(stride) +
         (padding == Size2D(0) ? "" : ", padding " + to_string(padding));
}

kernels::PoolGeometry kernel_geometry(const Pooling& pooling, const Shape& in, const Shape& out) {
  const auto extent = [](const Shape& shape, std::size_t axis) { return static_cast<Index>(shape[axis]); };
  return {extent(in, 2),    extent(in, 3),     pooling.window.h,  pooling.window.w, pooling.stride.h,
          pooling.stride.w, pooling.padding.h, pooling.padding.w, extent(out, 2),   extent(out, 3)};
}

reference::PoolingShape reference_shape(const Pooling& pooling, const Shape& x) {
  return reference::PoolingShape::of(x, pooling.window, pooling.stride, pooling.padding);
}

}  // namespace strata
