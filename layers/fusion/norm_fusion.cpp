#include "strata/layers/fusion/norm_fusion.hpp"

namespace strata {

template <class T>
template <class Run>
Tensor<T> NormFusion<T>::make(const Shape& x, const Run& run) {
  auto y = empty<T>(pool_ ? pool_->output_shape(x) : x);
  normalization::Output<T> output{.y = y.data(), .rectify = rectify_};
  if (pool_) {
    MaxPoolParts<T>& parts = pool_->parts_;
    parts.begin(x);
    output.pool = [&](Index first, Index count, const T* values) {
      parts.forward(first, count, values, y.data() + first * parts.plane_out());
    };
  }
  run(output);
  return y;
}

template <class T>
Tensor<T> NormFusion<T>::forward(Tensor<T> x) {
  const Shape shape = x.shape();
  return make(shape, [&](const auto& output) { norm_.normalize(std::move(x), output); });
}

template <class T>
Tensor<T> NormFusion<T>::emit() {
  const Tensor<T>& x = norm_.x_;
  return make(x.shape(), [&](const auto& output) {
    normalization::apply(norm_.sets(x.shape()), x.data(), output, norm_.statistics_, norm_.affine(),
                         norm_.eps_);
  });
}

template <class T>
Tensor<T> NormFusion<T>::backward(Tensor<T> dy) {
  if (!pool_) {
    norm_.pull_back({.dy = dy.data(), .dx = dy.data(), .rectify = rectify_});
    return dy;
  }
  MaxPoolParts<T>& parts = pool_->parts_;
  Tensor<T> dx =
      norm_.pull_back({.rectify = rectify_, .unpool = [&](Index first, Index count, T* gradient) {
                         parts.backward(first, count, dy.data() + first * parts.plane_out(), gradient);
                       }});
  parts.end();
  return dx;
}

template <class T>
Tensor<T> NormInference<T>::infer(Shared<T> x, Shared<T> /*other*/, ImageLayouts /*of planes*/) const {
  Tensor<T> y = std::move(x).take();
  norm_.normalize_in_place(y, /*rectify=*/true);
  return y;
}

template class NormFusion<float>;
template class NormFusion<double>;
template class NormInference<float>;
template class NormInference<double>;

}  // namespace strata
