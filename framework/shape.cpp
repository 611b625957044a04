#include "strata/framework/shape.hpp"

#include "strata/framework/error.hpp"

namespace strata {

Index element_count(const Shape& shape) {
  if (const auto count = detail::checked_count(shape)) return *count;
  throw ShapeError("a tensor has fewer than 2^63 elements, got the shape " + to_string(shape));
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

std::optional<Index> detail::checked_count(const Shape& shape, Index each) {
  // An extent of 0 must not hide others whose strides overflow.
  Checked product = each;
  bool is_empty = false;
  for (const std::size_t extent : shape) {
    is_empty |= extent == 0;
    if (extent != 0) product = product * extent;
  }
  if (!product.fits()) return std::nullopt;
  return is_empty ? 0 : product.value();
}

std::optional<Shape> detail::checked_shape(std::initializer_list<Checked> extents) {
  Shape shape;
  for (const Checked& extent : extents) {
    if (!extent.fits() || extent.value() < 0) return std::nullopt;
    shape.push_back(static_cast<std::size_t>(extent.value()));
  }
  if (!checked_count(shape)) return std::nullopt;
  return shape;
}

}  // namespace strata
