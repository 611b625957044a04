#include "strata/layers/norm_fusion.hpp"

namespace strata {

template <class T>
NormFusion<T>::NormFusion(NormalizationLayer<T>& norm, std::optional<Pooling> pooling)
    : norm_(norm), pooling_(pooling) {
  if (pooling) planes_.emplace(*pooling);
}

template <class T>
Tensor<T> NormFusion<T>::forward(Tensor<T> x) {
  const Shape shape = x.shape();
  auto y = empty<T>(pooling_ ? pooling_->output_shape(shape) : shape);
  normalization::Output<T> output{.y = y.data(), .rectify = true};
  if (pooling_) {
    planes_->begin(shape);
    output.pool = [&](Index first, Index count, const T* values) {
      planes_->forward(first, count, values, y.data() + first * planes_->plane_out());
    };
  }
  norm_.normalize(std::move(x), output);
  return y;
}

template <class T>
Tensor<T> NormFusion<T>::backward(Tensor<T> dy) {
  if (!pooling_) {
    norm_.pull_back({.dy = dy.data(), .dx = dy.data(), .rectify = true});
    return dy;
  }
  Tensor<T> dx =
      norm_.pull_back({.rectify = true, .unpool = [&](Index first, Index count, T* gradient) {
                         planes_->backward(first, count, dy.data() + first * planes_->plane_out(), gradient);
                       }});
  planes_->end();
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
