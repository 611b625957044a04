// Tensor and Shape: the arrays that everything here takes and gives.
#pragma once

#include <string>

#include <xtensor/xarray.hpp>

#include "strata/framework/index.hpp"
#include "strata/framework/runtime/memory.hpp"

namespace strata {

/// An xtensor array, row-major and contiguous, whose memory is recycled. Images are (N, C, H, W), features
/// (N, D). Any xtensor expression or `xt::xarray<T>` converts to it.
template <class T>
using Tensor = xt::xarray<T, xt::layout_type::row_major, RecyclingAllocator<T>>;

/// Extents, outermost first.
using Shape = typename Tensor<float>::shape_type;

/// An uninitialized tensor.
template <class T>
Tensor<T> empty(const Shape& shape) {
  return Tensor<T>::from_shape(shape);
}

/// A tensor of one value.
template <class T>
Tensor<T> full(const Shape& shape, T value) {
  return Tensor<T>(shape, value);
}

/// A tensor of zeros. A large one takes no memory before it is written to.
template <class T>
Tensor<T> zeros(const Shape& shape);

/// A copy, made by several threads.
template <class T>
Tensor<T> copy(const Tensor<T>& x);

/// The product of the extents.
Index element_count(const Shape& shape);

/// "(64, 3, 32, 32)"
std::string to_string(const Shape& shape);

}  // namespace strata
