#include "strata/layers/instance_norm_2d.hpp"

namespace strata {

using normalization::per_channel;
using normalization::per_group;

template <class T>
InstanceNorm2D<T>::InstanceNorm2D(Index channels, const InstanceNormOptions& options)
    : NormalizationLayer<T>("InstanceNorm2D", this->channel_shape("InstanceNorm2D", channels), options.eps,
                            options.affine),
      channels_(channels),
      unbiased_(options.unbiased) {
  RunningStatistics<T> running("InstanceNorm2D", this->channel_shape("InstanceNorm2D", channels),
                               options.momentum, options.minimum_factor);
  if (options.track_running_stats) running_ = std::move(running);
}

template <class T>
RunningStatistics<T>& InstanceNorm2D<T>::running() {
  if (!running_)
    throw StateError(this->label() +
                     ": was made with track_running_stats = false and has no running statistics");
  return *running_;
}

template <class T>
Shape InstanceNorm2D<T>::output_shape(const Shape& input) const {
  if (input.size() != 4 || static_cast<Index>(input[1]) != channels_ || element_count(input) == 0)
    this->fail_shape("(N, " + std::to_string(channels_) + ", H, W) with N, H, W >= 1", input);
  return input;
}

template <class T>
std::string InstanceNorm2D<T>::options() const {
  return std::to_string(channels_) + (running_ ? ", running statistics" + running_->options() : "") +
         (running_ && unbiased_ ? ", unbiased" : "") + this->common_options();
}

template <class T>
Tensor<T> InstanceNorm2D<T>::do_forward(Tensor<T> x) {
  const auto affine = this->affine();
  if (running_) running_->check(this->label());
  frozen_ = !this->training() && running_;
  auto y = empty<T>(x.shape());
  if (frozen_) {  // one mean and variance for the channel in all samples
    statistics_ = running_->statistics();
    normalization::apply(per_channel(x.shape()), x.data(), y.data(), statistics_, affine, this->eps());
  } else {
    const auto planes = per_group(x.shape(), channels_);  // groups of one channel
    const auto m = static_cast<double>(planes.elements());
    if (this->training() && m <= 1)
      this->fail_shape("more than one pixel per channel in training (use eval() for a single one)",
                       x.shape());
    statistics_ = normalization::forward(planes, x.data(), y.data(), affine, this->eps());
    if (this->training() && running_) running_->update(statistics_, unbiased_ ? m / (m - 1) : 1);
  }
  x_ = std::move(x);
  return y;
}

template <class T>
Tensor<T> InstanceNorm2D<T>::do_backward(Tensor<T> dy) {
  const auto sets = frozen_ ? per_channel(dy.shape()) : per_group(dy.shape(), channels_);
  normalization::backward(sets, x_.data(), dy.data(), statistics_, this->affine().gamma,
                          this->weight_gradient(), this->bias_gradient(), this->eps(), frozen_);
  x_ = Tensor<T>();
  return dy;
}

template <class T>
Tensor<T> InstanceNorm2D<T>::do_infer(Tensor<T> x) const {
  if (running_) {
    running_->check(this->label());
    normalization::apply(per_channel(x.shape()), x.data(), x.data(), running_->statistics(), this->affine(),
                         this->eps());
  } else {
    normalization::forward(per_group(x.shape(), channels_), x.data(), x.data(), this->affine(), this->eps());
  }
  return x;
}

template <class T>
std::vector<Buffer<T>> InstanceNorm2D<T>::own_buffers() {
  if (!running_) return {};
  return running_->buffers();
}

template <class T>
void InstanceNorm2D<T>::reset_parameters(Random& random) {
  NormalizationLayer<T>::reset_parameters(random);
  if (running_) running_->reset();
}

template <class T>
Tensor<T> channel_wise_spatial_normalization(Tensor<T> x, const Tensor<T>& gamma, const Tensor<T>& beta,
                                             double eps) {
  const std::string name = "channel_wise_spatial_normalization";
  if (x.dimension() != 4 || x.size() == 0)
    throw ShapeError(name + ": expected x (N, C, H, W), not empty, got " + to_string(x.shape()));
  for (const Tensor<T>* parameter : {&gamma, &beta})
    if (parameter->shape() != Shape{x.shape()[1]})
      throw ShapeError(name + ": expected gamma and beta of shape " + to_string(Shape{x.shape()[1]}) +
                       " for x " + to_string(x.shape()) + ", got " + to_string(parameter->shape()));
  if (!(eps > 0)) throw ArgumentError(name + ": expected eps > 0, got " + std::to_string(eps));
  const auto planes = per_group(x.shape(), static_cast<Index>(x.shape()[1]));
  normalization::forward<T>(planes, x.data(), x.data(), {gamma.data(), beta.data()}, eps);
  return x;
}

template class InstanceNorm2D<float>;
template class InstanceNorm2D<double>;
template Tensor<float> channel_wise_spatial_normalization(Tensor<float>, const Tensor<float>&,
                                                          const Tensor<float>&, double);
template Tensor<double> channel_wise_spatial_normalization(Tensor<double>, const Tensor<double>&,
                                                           const Tensor<double>&, double);

}  // namespace strata
