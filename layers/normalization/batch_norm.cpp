#include "strata/layers/normalization/batch_norm.hpp"

namespace strata {

template <class T>
BatchNorm<T>::BatchNorm(const char* type, Index channels, const BatchNormOptions& options)
    : NormalizationLayer<T>(type, this->channel_shape(type, channels), options.eps, options.affine),
      channels_(channels) {
  RunningStatistics<T> running(type, this->channel_shape(type, channels), options.momentum,
                               options.minimum_factor);
  if (options.track_running_stats) this->track(std::move(running), options.unbiased);
}

template <class T>
std::string BatchNorm<T>::options() const {
  return std::to_string(channels_) + (this->tracks() ? this->running_options() : ", no running statistics") +
         this->common_options();
}

template <class T>
void BatchNorm<T>::check_training_batch(const Shape& x) const {
  if (sets(x).elements() <= 1)
    this->fail_shape("more than one value per channel in training (use eval() for a single one)", x);
}

template class BatchNorm<float>;
template class BatchNorm<double>;

}  // namespace strata
