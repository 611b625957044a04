#include "strata/layers/fusion/norm_tail.hpp"

namespace strata::fusion {

template <class T>
template <class Run>
Tensor<T> NormTail<T>::make(const Shape& x, Kept& kept, const Run& run) const {
  auto y = empty<T>(pool ? pool->output_shape(x) : x);
  normalization::Output<T> output{.y = y.data(), .rectify = rectify};
  if (pool) {
    MaxPoolParts<T>& parts = kept.parts.emplace(pool->parts(x));
    output.pool = [&](Index first, Index count, const T* values) {
      parts.forward(first, count, values, y.data() + first * parts.plane_out());
    };
  }
  run(output);
  return y;
}

template <class T>
Tensor<T> NormTail<T>::forward(Tensor<T> x, Kept& kept) const {
  const Shape shape = x.shape();
  return make(shape, kept, [&](const auto& output) { norm->normalize(std::move(x), output, kept.norm); });
}

template <class T>
Tensor<T> NormTail<T>::emit(Kept& kept) const {
  const Tensor<T>& x = kept.norm.x;
  return make(x.shape(), kept, [&](const auto& output) {
    normalization::apply(norm->sets(x.shape()), x.data(), output, kept.norm.statistics, norm->affine(),
                         norm->eps());
  });
}

template <class T>
Tensor<T> NormTail<T>::backward(Tensor<T> dy, Kept kept) const {
  if (!pool) {
    norm->pull_back({.dy = dy.data(), .dx = dy.data(), .rectify = rectify}, std::move(kept.norm));
    return dy;
  }
  const MaxPoolParts<T>& parts = *kept.parts;
  const auto unpool = [&](Index first, Index count, T* gradient) {
    parts.backward(first, count, dy.data() + first * parts.plane_out(), gradient);
  };
  return norm->pull_back({.rectify = rectify, .unpool = unpool}, std::move(kept.norm));
}

template struct NormTail<float>;
template struct NormTail<double>;

}  // namespace strata::fusion
