#include "strata/layers/norm_fusion.hpp"

namespace strata {

template <class T>
Tensor<T> NormFusion<T>::forward(Tensor<T> x) {
  const Shape shape = x.shape();
  auto y = empty<T>(pool_ ? pool_->output_shape(shape) : shape);
  normalization::Output<T> output{.y = y.data(), .rectify = true};
  if (pool_) {
    MaxPoolPlanes<T>& planes = pool_->planes_;
    planes.begin(shape);
    output.pool = [&](Index first, Index count, const T* values) {
      planes.forward(first, count, values, y.data() + first * planes.plane_out());
    };
  }
  norm_.normalize(std::move(x), output);
  return y;
}

template <class T>
Tensor<T> NormFusion<T>::backward(Tensor<T> dy) {
  if (!pool_) {
    norm_.pull_back({.dy = dy.data(), .dx = dy.data(), .rectify = true});
    return dy;
  }
  MaxPoolPlanes<T>& planes = pool_->planes_;
  Tensor<T> dx =
      norm_.pull_back({.rectify = true, .unpool = [&](Index first, Index count, T* gradient) {
                         planes.backward(first, count, dy.data() + first * planes.plane_out(), gradient);
                       }});
  planes.end();
  return dx;
}

template <class T>
Tensor<T> NormInference<T>::infer(Tensor<T> x) const {
  norm_.normalize_in_place(x, /*rectify=*/true);
  return x;
}

template class NormFusion<float>;
template class NormFusion<double>;
template class NormInference<float>;
template class NormInference<double>;

}  // namespace strata
