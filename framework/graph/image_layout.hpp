// How an activation's images lie in memory.
#pragma once

#include "strata/framework/index.hpp"

namespace strata {

/// As (channels, rows, columns), which is what users see, or, between layers that are fused, with the
/// channels innermost, as (rows, columns, channels). The tensor's shape is (N, C, H, W) in either case.
enum class ImageLayout { planes, pixels };
/// Images are of pixels only if this divides their channels, which then fill vectors of any instruction set.
constexpr Index kPixelChannels = 16;

/// Of what a layer, or several in a row, take and give.
struct ImageLayouts {
  ImageLayout x = ImageLayout::planes;
  ImageLayout y = ImageLayout::planes;
};

}  // namespace strata
