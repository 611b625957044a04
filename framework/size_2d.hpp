// A height and a width.
#pragma once

#include <string>

#include "strata/framework/export.hpp"
#include "strata/framework/index.hpp"

namespace STRATA_EXPORT strata {

/// Height and width of a window, stride or padding; one number stands for both.
struct Size2D {
  Index h;
  Index w;

  constexpr Size2D(Index both) : h(both), w(both) {}  // NOLINT: one number may stand for both
  constexpr Size2D(Index height, Index width) : h(height), w(width) {}
  constexpr bool operator==(const Size2D&) const = default;
};

/// No window, stride, padding or dilation is larger: then the product of two fits into Index, with room.
inline constexpr Index kLargestSize = (Index{1} << 31) - 1;

/// "3x3"
inline std::string to_string(const Size2D& size) {
  return std::to_string(size.h) + "x" + std::to_string(size.w);
}

}  // namespace strata
