// Max pooling part by part: what MaxPool2D and the layers that are fused with one share.
#pragma once

#include <variant>

#include "strata/framework/tensor.hpp"
#include "strata/layers/kernels/pooling/max_pool.hpp"
#include "strata/layers/kernels/pooling/pool_geometry.hpp"

namespace strata {

/// Pools planes of x, counted through all samples, or images, and remembers where the maxima were. Different
/// parts may be worked on at the same time.
template <class T>
class MaxPoolParts {
 public:
  /// Of an x of this shape (N, C, H, W).
  MaxPoolParts(const kernels::PoolGeometry& geometry, const Shape& x);

  /// From planes [first, first + count) of x to the same planes of y, given where each of the two starts.
  void forward(Index first, Index count, const T* x_planes, T* y_planes);
  void backward(Index first, Index count, const T* dy_planes, T* dx_planes) const;
  /// The same of images of pixels (ImageLayout).
  void forward_pixels(Index first, Index count, const T* x_images, T* y_images);
  void backward_pixels(Index first, Index count, const T* dy_images, T* dx_images) const;

  Index plane_in() const { return geometry_.h * geometry_.w; }
  Index plane_out() const { return geometry_.out_h * geometry_.out_w; }

 private:
  kernels::PoolGeometry geometry_;
  Index channels_;
  // The place of each maximum in its window; one byte unless the window has more than 256 places.
  std::variant<Tensor<std::uint8_t>, Tensor<std::uint32_t>> positions_;
};

extern template class MaxPoolParts<float>;

}  // namespace strata
