// The type in which the references add up.
#pragma once

#include <type_traits>

namespace strata::reference {

/// What a sum of values of T is accumulated in: a type of more digits, double for float and long double for
/// all else. The rounding of a thousand additions in T would show; so a result is the exact sum, rounded once
/// (where long double is no wider than double, nearly).
template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, float>, double, long double>;

}  // namespace strata::reference
