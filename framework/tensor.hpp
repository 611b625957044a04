// Tensor: the arrays that everything here takes and gives.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/runtime/memory.hpp"
#include "strata/framework/shape.hpp"
#include "strata/framework/xtensor.hpp"

namespace STRATA_EXPORT strata {

/// An xtensor array, row-major and contiguous, whose memory is recycled. Images are (N, C, H, W), features
/// (N, D). Any xtensor expression or `xt::xarray<T>` converts to it.
template <class T>
using Tensor = xt::xarray<T, xt::layout_type::row_major, RecyclingAllocator<T>>;

/// An uninitialized tensor. Throws ShapeError where element_count does, as do the next two.
template <class T>
Tensor<T> empty(const Shape& shape) {
  element_count(shape);
  return Tensor<T>::from_shape(shape);
}

/// A tensor of one value.
template <class T>
Tensor<T> full(const Shape& shape, T value) {
  element_count(shape);
  return Tensor<T>(shape, value);
}

/// A tensor of zeros. A large one takes no memory before it is written to.
template <class T>
STRATA_EXPORT Tensor<T> zeros(const Shape& shape);

namespace detail {
/// Whether it has all the elements of its shape: a tensor that was moved from may keep its shape alone.
template <class T>
bool has_elements(const Tensor<T>& x) {
  return x.storage().size() == static_cast<std::size_t>(element_count(x.shape()));
}
template <class T>
bool has_shape(const Tensor<T>& x, const Shape& shape) {
  return x.shape() == shape && has_elements(x);
}
/// What x is instead, for messages: its shape, or that it was moved from.
template <class T>
std::string shape_found(const Tensor<T>& x) {
  return has_elements(x) ? to_string(x.shape()) : "one that was moved from";
}
}  // namespace detail

/// A copy, made by several threads.
template <class T>
STRATA_EXPORT Tensor<T> copy(const Tensor<T>& x);

}  // namespace strata
