// What follows a convolution in a run, image by image.
#pragma once

#include "strata/layers/fusion/norm_tail.hpp"
#include "strata/layers/kernels/normalization/images.hpp"

namespace strata::fusion {

/// What a NormTail computes, y = max pool (max(norm(z), 0)) and dz from dy, for the z and the statistics that
/// are kept.
template <class T>
class ImageNorm {
 public:
  /// y and dy are of planes if z is, and have one layout. `tail` and `kept` have to stay.
  ImageNorm(const NormTail<T>& tail, typename NormTail<T>::Kept& kept, ImageLayouts z_and_y);

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
  /// dz in the memory of z, which is kept no longer.
  Tensor<T> gradients(const Tensor<T>& dy) const;

  const Shape& shape() const { return kept_.norm.x.shape(); }
  const T* z(Index image) const { return kept_.norm.x.data() + image * images_.image_size(); }

 private:
  /// body(images [first, first + count) of dy, taken back through the pooling).
  template <class Body>
  void with_dy(const Tensor<T>& dy, Index first, Index count, const Body& body) const;

  const NormTail<T>& tail_;
  typename NormTail<T>::Kept& kept_;
  ImageLayouts layouts_;  // of z and y
  normalization::ByImages<T> images_;
};

extern template class ImageNorm<float>;

}  // namespace strata::fusion
