#include "strata/layers/normalization/spatial_batch_norm.hpp"

namespace strata {

template <class T>
Shape SpatialBatchNorm<T>::output_shape(const Shape& input) const {
  if (input.size() != 4 || static_cast<Index>(input[1]) != this->channels() ||
      detail::checked_count(input).value_or(0) == 0)
    this->fail_shape("(N, " + std::to_string(this->channels()) + ", H, W) with N, H, W >= 1", input);
  return input;
}

template class SpatialBatchNorm<float>;
template class SpatialBatchNorm<double>;

}  // namespace strata
