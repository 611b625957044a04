// The type in which the references add up.
#pragma once

#include <type_traits>
#include <vector>

#include "strata/framework/index.hpp"

namespace strata::reference {

/// What a sum of values of T is accumulated in: a type of more digits, double for float and long double for
/// all else. The rounding of a thousand additions in T would show; so a result is the exact sum, rounded once
/// (where long double is no wider than double, nearly).
template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, float>, double, long double>;

/// Sums that start at 0.
template <class Sum>
class Sums {
 public:
  explicit Sums(Index count) : values_(static_cast<std::size_t>(count)) {}
  Sum& operator[](Index i) { return values_.data()[i]; }
  Index size() const { return static_cast<Index>(values_.size()); }

 private:
  std::vector<Sum> values_;
};

}  // namespace strata::reference
