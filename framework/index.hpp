// The integer of the house.
#pragma once

#include <cstddef>

namespace strata {

/// Counts, sizes and indices. Signed, so that a negative option can be seen and refused.
using Index = std::ptrdiff_t;

}  // namespace strata
