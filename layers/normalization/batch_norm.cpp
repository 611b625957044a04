#include "strata/layers/normalization/batch_norm.hpp"

namespace strata {

template <class T>
BatchNorm<T>::BatchNorm(const char* type, Index channels, std::pair<std::size_t, std::size_t> ranks,
                        const std::string& axes, const BatchNormOptions& options)
    : NormalizationLayer<T>({.type = type,
                             .affine_shape = this->channel_shape(type, channels),
                             .groups = 0,
                             .least_rank = ranks.first,
                             .most_rank = ranks.second,
                             .axes = axes,
                             .more_than_one = "value"},
                            options.eps, options.affine),
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
BatchNorm1D<T>::BatchNorm1D(Index features, const BatchNormOptions& options)
    : BatchNorm<T>(
          "BatchNorm1D", features, {2, 3},
          "(N, " + std::to_string(features) + ") or (N, " + std::to_string(features) + ", L) with N, L >= 1",
          options) {}

template <class T>
SpatialBatchNorm<T>::SpatialBatchNorm(Index channels, const BatchNormOptions& options)
    : BatchNorm<T>("SpatialBatchNorm", channels, {4, 4},
                   "(N, " + std::to_string(channels) + ", H, W) with N, H, W >= 1", options) {}

template class BatchNorm<float>;
template class BatchNorm<double>;
template class BatchNorm1D<float>;
template class BatchNorm1D<double>;
template class SpatialBatchNorm<float>;
template class SpatialBatchNorm<double>;

}  // namespace strata
