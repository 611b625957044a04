#include "strata/layers/normalization/instance_norm_2d.hpp"

namespace strata {

template <class T>
InstanceNorm2D<T>::InstanceNorm2D(Index channels, const InstanceNormOptions& options)
    : NormalizationLayer<T>({.type = "InstanceNorm2D",
                             .affine_shape = this->channel_shape("InstanceNorm2D", channels),
                             .groups = channels,
                             .least_rank = 4,
                             .most_rank = 4,
                             .axes = "(N, " + std::to_string(channels) + ", H, W) with N, H, W >= 1",
                             .more_than_one = "pixel"},
                            options.eps, options.affine),
      channels_(channels) {
  RunningStatistics<T> running("InstanceNorm2D", this->channel_shape("InstanceNorm2D", channels),
                               options.momentum, options.minimum_factor);
  if (options.track_running_stats) this->track(std::move(running), options.unbiased);
}

template <class T>
std::string InstanceNorm2D<T>::options() const {
  return std::to_string(channels_) +
         (this->tracks() ? ", running statistics" + this->running_options() : "") + this->common_options();
}

template class InstanceNorm2D<float>;
template class InstanceNorm2D<double>;

}  // namespace strata
