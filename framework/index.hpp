// The integer of the house.
#pragma once

#include <cstddef>

#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// Counts, sizes and indices. Signed, so that a negative option can be seen and refused.
using Index = std::ptrdiff_t;

}  // namespace strata
