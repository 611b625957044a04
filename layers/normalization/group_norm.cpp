#include "strata/layers/normalization/group_norm.hpp"

namespace strata {

template <class T>
GroupNorm<T>::GroupNorm(Index groups, Index channels, const GroupNormOptions& options)
    : NormalizationLayer<T>("GroupNorm", this->channel_shape("GroupNorm", channels), options.eps,
                            options.affine),
      groups_(groups),
      channels_(channels) {
  if (groups < 1 || channels % groups != 0)
    throw ArgumentError("GroupNorm: expected a number of groups that divides the " +
                        std::to_string(channels) + " channels, got " + std::to_string(groups));
}

template <class T>
Shape GroupNorm<T>::output_shape(const Shape& input) const {
  if (input.size() < 2 || static_cast<Index>(input[1]) != channels_ ||
      detail::checked_count(input).value_or(0) == 0)
    this->fail_shape("(N, " + std::to_string(channels_) + ", ...), not empty", input);
  return input;
}

template <class T>
std::string GroupNorm<T>::options() const {
  return std::to_string(channels_) + " in " + std::to_string(groups_) +
         (groups_ == 1 ? " group" : " groups") + this->common_options();
}

template class GroupNorm<float>;
template class GroupNorm<double>;

}  // namespace strata
