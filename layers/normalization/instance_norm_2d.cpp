#include "strata/layers/normalization/instance_norm_2d.hpp"

namespace strata {

template <class T>
InstanceNorm2D<T>::InstanceNorm2D(Index channels, const InstanceNormOptions& options)
    : NormalizationLayer<T>("InstanceNorm2D", this->channel_shape("InstanceNorm2D", channels), options.eps,
                            options.affine),
      channels_(channels) {
  RunningStatistics<T> running("InstanceNorm2D", this->channel_shape("InstanceNorm2D", channels),
                               options.momentum, options.minimum_factor);
  if (options.track_running_stats) this->track(std::move(running), options.unbiased);
}

template <class T>
Shape InstanceNorm2D<T>::output_shape(const Shape& input) const {
  if (input.size() != 4 || static_cast<Index>(input[1]) != channels_ ||
      detail::checked_count(input).value_or(0) == 0)
    this->fail_shape("(N, " + std::to_string(channels_) + ", H, W) with N, H, W >= 1", input);
  return input;
}

template <class T>
std::string InstanceNorm2D<T>::options() const {
  return std::to_string(channels_) +
         (this->tracks() ? ", running statistics" + this->running_options() : "") + this->common_options();
}

template <class T>
void InstanceNorm2D<T>::check_training_batch(const Shape& x) const {
  if (sets(x).elements() <= 1)
    this->fail_shape("more than one pixel per channel in training (use eval() for a single one)", x);
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
  const auto planes = normalization::per_group(x.shape(), static_cast<Index>(x.shape()[1]));
  normalization::forward<T>(planes, x.data(), {.y = x.data()}, {gamma.data(), beta.data()}, eps);
  return x;
}

template class InstanceNorm2D<float>;
template class InstanceNorm2D<double>;
template Tensor<float> channel_wise_spatial_normalization(Tensor<float>, const Tensor<float>&,
                                                          const Tensor<float>&, double);
template Tensor<double> channel_wise_spatial_normalization(Tensor<double>, const Tensor<double>&,
                                                           const Tensor<double>&, double);

}  // namespace strata
