// Shape: the extents of a tensor, and arithmetic on extents that notices what is too large.
#pragma once

#include <concepts>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "strata/framework/export.hpp"
#include "strata/framework/index.hpp"
#include "strata/framework/xtensor.hpp"

namespace STRATA_EXPORT strata {

/// Extents, outermost first.
using Shape = xt::dynamic_shape<std::size_t>;

/// The product of the extents. Throws ShapeError if the product of those other than 0 is 2^63 or more.
Index element_count(const Shape& shape);

/// "(64, 3, 32, 32)"
std::string to_string(const Shape& shape);

namespace detail {

/// An integer that knows whether it, and all that it was computed from, fitted into Index.
class Checked {
 public:
  template <std::integral Integer>
  Checked(Integer value)  // NOLINT: formulas mix it with plain numbers
      : value_(static_cast<Index>(value)), fits_(std::in_range<Index>(value)) {}

  bool fits() const { return fits_; }
  /// Says nothing unless it fits.
  Index value() const { return value_; }

  friend Checked operator+(Checked a, const Checked& b) {
    a.fits_ = !__builtin_add_overflow(a.value_, b.value_, &a.value_) && a.fits_ && b.fits_;
    return a;
  }
  friend Checked operator*(Checked a, const Checked& b) {
    a.fits_ = !__builtin_mul_overflow(a.value_, b.value_, &a.value_) && a.fits_ && b.fits_;
    return a;
  }

 private:
  Index value_;
  bool fits_;
};

/// element_count times `each`; nothing where the product of `each` and the extents other than 0 does not fit.
std::optional<Index> checked_count(const Shape& shape, Index each = 1);

/// Nothing if an extent is negative or does not fit, or there are 2^63 elements or more.
std::optional<Shape> checked_shape(std::initializer_list<Checked> extents);

/// What layers say that they expect where there is none.
inline constexpr const char* kCountable = "fewer than 2^63 elements, in and out";

}  // namespace detail
}  // namespace strata
