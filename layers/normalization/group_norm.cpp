#include "strata/layers/normalization/group_norm.hpp"

namespace strata {

template <class T>
GroupNorm<T>::GroupNorm(Index groups, Index channels, const GroupNormOptions& options)
    : NormalizationLayer<T>({.type = "GroupNorm",
                             .affine_shape = this->channel_shape("GroupNorm", channels),
                             .groups = groups,
                             .axes = "(N, " + std::to_string(channels) + ", ...), not empty"},
                            options.eps, options.affine),
      groups_(groups),
      channels_(channels) {
  if (groups < 1 || channels % groups != 0)
    throw ArgumentError("GroupNorm: expected a number of groups that divides the " +
                        std::to_string(channels) + " channels, got " + std::to_string(groups));
}

template <class T>
std::string GroupNorm<T>::options() const {
  return std::to_string(channels_) + " in " + std::to_string(groups_) +
         (groups_ == 1 ? " group" : " groups") + this->common_options();
}

template class GroupNorm<float>;
template class GroupNorm<double>;

}  // namespace strata
