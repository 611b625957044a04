// What follows a convolution in a run, image by image.
#pragma once

#include "strata/layers/kernels/normalization/images.hpp"
#include "strata/layers/normalization/normalization_layer.hpp"
#include "strata/layers/pooling/max_pool_2d.hpp"

namespace strata {

/// y = max pool (max(norm(z), 0)) and dz from dy, for the z and the statistics that the norm has; rectifier
/// and pooling are optional.
template <class T>
class ImageNorm {
 public:
  /// `pool` may be null. y and dy are of planes if z is, which the norm says, and have one layout.
  ImageNorm(NormalizationLayer<T>& norm, bool rectify, MaxPool2D<T>* pool, ImageLayout y_layout);

  /// y of an image, without the pooling; rows of pixels lie `row_stride` apart.
  void normalize(Index image, T* y, Index row_stride) const;
  Tensor<T> emit() const;

  /// Takes in images [first, first + count) of dy, or all. From several threads at once; each image once.
  void take_gradient(const Tensor<T>& dy, Index first, Index count);
  void take_gradient(const Tensor<T>& dy);
  /// Sets the parameters' gradients, after all images.
  void finish();
  /// dz of an image, which may be where z is; rows of pixels lie `row_stride` apart.
  void gradient(const Tensor<T>& dy, Index image, T* dz, Index row_stride) const;
  /// dz in the memory of z, which the norm loses.
  Tensor<T> gradients(const Tensor<T>& dy) const;

  Shape shape() const { return norm_.x_.shape(); }
  const T* z(Index image) const { return norm_.x_.data() + image * images_.image_size(); }

 private:
  /// body(images [first, first + count) of dy, taken back through the pooling).
  template <class Body>
  void with_dy(const Tensor<T>& dy, Index first, Index count, const Body& body) const;

  NormalizationLayer<T>& norm_;
  bool rectify_;
  MaxPool2D<T>* pool_;
  ImageLayout y_layout_;
  normalization::ByImages<T> images_;
};

extern template class ImageNorm<float>;

}  // namespace strata
