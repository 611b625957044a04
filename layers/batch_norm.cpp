#include "strata/layers/batch_norm.hpp"

namespace strata {

using normalization::per_channel;

template <class T>
BatchNorm<T>::BatchNorm(const char* type, Index channels, const BatchNormOptions& options)
    : NormalizationLayer<T>(type, this->channel_shape(type, channels), options.eps, options.affine),
      channels_(channels),
      unbiased_(options.unbiased) {
  RunningStatistics<T> running(type, this->channel_shape(type, channels), options.momentum,
                               options.minimum_factor);
  if (options.track_running_stats) running_ = std::move(running);
}

template <class T>
RunningStatistics<T>& BatchNorm<T>::running() {
  if (!running_)
    throw StateError(this->label() +
                     ": was made with track_running_stats = false and has no running statistics");
  return *running_;
}

template <class T>
std::string BatchNorm<T>::options() const {
  return std::to_string(channels_) + (running_ ? running_->options() : ", no running statistics") +
         (running_ && unbiased_ ? ", unbiased" : "") + this->common_options();
}

template <class T>
Tensor<T> BatchNorm<T>::do_forward(Tensor<T> x) {
  const auto affine = this->affine();
  if (running_) running_->check(this->label());
  const auto sets = per_channel(x.shape());
  frozen_ = !this->training() && running_;
  auto y = empty<T>(x.shape());
  if (frozen_) {
    statistics_ = running_->statistics();
    normalization::apply(sets, x.data(), y.data(), statistics_, affine, this->eps());
  } else {
    const auto m = static_cast<double>(sets.elements());
    if (this->training() && m <= 1)
      this->fail_shape("more than one value per channel in training (use eval() for a single one)",
                       x.shape());
    statistics_ = normalization::forward(sets, x.data(), y.data(), affine, this->eps());
    if (this->training() && running_) running_->update(statistics_, unbiased_ ? m / (m - 1) : 1);
  }
  x_ = std::move(x);
  return y;
}

template <class T>
Tensor<T> BatchNorm<T>::do_backward(Tensor<T> dy) {
  normalization::backward(per_channel(dy.shape()), x_.data(), dy.data(), statistics_, this->affine().gamma,
                          this->weight_gradient(), this->bias_gradient(), this->eps(), frozen_);
  x_ = Tensor<T>();
  return dy;
}

template <class T>
Tensor<T> BatchNorm<T>::do_infer(Tensor<T> x) const {
  const auto sets = per_channel(x.shape());
  if (running_) {
    running_->check(this->label());
    normalization::apply(sets, x.data(), x.data(), running_->statistics(), this->affine(), this->eps());
  } else {
    normalization::forward(sets, x.data(), x.data(), this->affine(), this->eps());
  }
  return x;
}

template <class T>
std::vector<Buffer<T>> BatchNorm<T>::own_buffers() {
  if (!running_) return {};
  return running_->buffers();
}

template <class T>
void BatchNorm<T>::reset_parameters(Random& random) {
  NormalizationLayer<T>::reset_parameters(random);
  if (running_) running_->reset();
}

template class BatchNorm<float>;
template class BatchNorm<double>;

}  // namespace strata
