// The type in which the references add up.
#pragma once

#include <type_traits>

namespace strata::reference {

/// What a sum of values of T is accumulated in: double for float and double, T itself if it is wider. The
/// rounding of a thousand additions in float would show; in double it is far below what a float can hold, so
/// that a result is the exact sum, rounded once.
template <class T>
using Accumulator = std::common_type_t<T, double>;

}  // namespace strata::reference
