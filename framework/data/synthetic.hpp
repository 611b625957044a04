// A data set that needs no file: drawn shapes.
#pragma once

#include <cstdint>

#include "strata/framework/data/in_memory.hpp"
#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// `count` RGB images of 32x32 with one of ten shapes (circle, square, triangle, cross, ring, stripes,
/// checkers, bar, crescent, frame) at a random place, size, angle and in random colors, textured, on a
/// textured background, with noise. Sample i has the label i % 10. Integer arithmetic: the same seed gives
/// the same bytes everywhere, and sample i does not depend on `count`. Throws ArgumentError if count < 1.
std::shared_ptr<const ImageDataset> synthetic(Index count, std::uint64_t seed = 0);

}  // namespace strata
