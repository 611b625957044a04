#include "strata/layers/weighted_layer.hpp"

#include <cmath>

#include "strata/framework/initializer.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/channel_sums.hpp"
#include "strata/layers/reference/convolution.hpp"

namespace strata {

template <class T>
WeightedLayer<T>::WeightedLayer(const Shape& weight, Index biases, bool bias)
    : shape_(weight), bias_shape_{static_cast<std::size_t>(biases)}, weight_("weight", empty<T>(weight)) {
  if (bias) bias_ = Parameter<T>("bias", empty<T>(bias_shape_), /*decay=*/false);
  Random random(next_seed());
  WeightedLayer::reset_parameters(random);
}

template <class T>
WeightedLayer<T>::WeightedLayer(const WeightedLayer&) = default;
template <class T>
WeightedLayer<T>::WeightedLayer(WeightedLayer&&) noexcept = default;
template <class T>
WeightedLayer<T>& WeightedLayer<T>::operator=(const WeightedLayer&) = default;
template <class T>
WeightedLayer<T>& WeightedLayer<T>::operator=(WeightedLayer&&) noexcept = default;
template <class T>
WeightedLayer<T>::~WeightedLayer() = default;

template <class T>
Parameter<T>& WeightedLayer<T>::weight() {
  this->check_value();
  return weight_;
}
template <class T>
const Parameter<T>& WeightedLayer<T>::weight() const {
  this->check_value();
  return weight_;
}
template <class T>
Parameter<T>& WeightedLayer<T>::bias() {
  this->check_value();
  if (!bias_) throw StateError(this->label() + ": was made without a bias");
  return *bias_;
}

template <class T>
void WeightedLayer<T>::set_bias_gradient(const Tensor<T>& dy) {
  if (!bias_) return;
  const auto batch = static_cast<Index>(dy.shape()[0]), channels = static_cast<Index>(dy.shape()[1]);
  const Index size = element_count({dy.shape().begin() + 2, dy.shape().end()});
  const auto sum = uses_reference() ? reference::sum_per_channel<T> : kernels::sum_per_channel<T>;
  sum(batch, channels, size, dy.data(), bias_->gradient.data());
}

template <class T>
std::vector<Parameter<T>*> WeightedLayer<T>::own_parameters() {
  if (bias_) return {&weight_, &*bias_};
  return {&weight_};
}

template <class T>
void WeightedLayer<T>::reset_parameters(Random& random) {
  const double bound = 1 / std::sqrt(fans(shape_).in);
  weight_.value = random.uniform<T>(shape_, -bound, bound);
  if (bias_) bias_->value = random.uniform<T>(bias_shape_, -bound, bound);
}

template <class T>
void WeightedLayer<T>::check_own_tensors() const {
  Layer<T>::check_own_tensors();
  if (weight_.shape() != shape_) this->fail_shape("a weight of shape " + to_string(shape_), weight_.shape());
  if (bias_ && bias_->shape() != bias_shape_)
    this->fail_shape("a bias of shape " + to_string(bias_shape_), bias_->shape());
}

template class WeightedLayer<float>;
template class WeightedLayer<double>;

}  // namespace strata
