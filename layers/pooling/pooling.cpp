#include "strata/layers/pooling/pooling.hpp"

#include <algorithm>
#include <utility>

#include "strata/framework/error.hpp"
#include "strata/layers/pooling/geometry.hpp"

namespace strata {
namespace {

// What an image must have at least.
Size2D least(const Pooling& pooling) {
  return {std::max<Index>(1, pooling.window.h - 2 * pooling.padding.h),
          std::max<Index>(1, pooling.window.w - 2 * pooling.padding.w)};
}

// Of an image that is large enough.
std::optional<Shape> checked_output(const Pooling& pooling, const Shape& input) {
  const auto extent = [](std::size_t in, Index window, Index stride, Index padding) {
    return detail::Checked((in - static_cast<std::size_t>(window - 2 * padding)) /
                           static_cast<std::size_t>(stride)) +
           1;
  };
  return detail::checked_shape({input[0], input[1],
                                extent(input[2], pooling.window.h, pooling.stride.h, pooling.padding.h),
                                extent(input[3], pooling.window.w, pooling.stride.w, pooling.padding.w)});
}

}  // namespace

Pooling::Pooling(const char* type, Size2D window_, std::optional<Size2D> stride_, Size2D padding_)
    : window(window_), stride(stride_.value_or(window_)), padding(padding_) {
  const std::string name = type;
  if (window.h < 1 || window.w < 1)
    throw ArgumentError(name + ": expected a window of at least 1x1, got " + to_string(window));
  if (stride.h < 1 || stride.w < 1)
    throw ArgumentError(name + ": expected a stride of at least 1x1, got " + to_string(stride));
  if (std::max({window.h, window.w, stride.h, stride.w}) > kLargestSize)
    throw ArgumentError(name + ": expected a window and a stride below 2^31, got " + to_string(window) +
                        " and " + to_string(stride));
  if (padding.h < 0 || padding.w < 0 || padding.h > window.h / 2 || padding.w > window.w / 2)
    throw ArgumentError(name + ": expected a padding from 0 to half the window of " + to_string(window) +
                        ", got " + to_string(padding));
}

bool Pooling::fits(const Shape& input) const {
  const Size2D smallest = least(*this);
  return input.size() == 4 && std::cmp_greater_equal(input[2], smallest.h) &&
         std::cmp_greater_equal(input[3], smallest.w) && detail::checked_count(input) &&
         checked_output(*this, input);
}

Shape Pooling::output_shape(const Shape& input) const {
  return checked_output(*this, input).value();
}

std::string Pooling::expected() const {
  const Size2D smallest = least(*this);
  return "(N, C, H, W) with H >= " + std::to_string(smallest.h) + " and W >= " + std::to_string(smallest.w);
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
