#include "strata/layers/normalization/batch_norm_1d.hpp"

namespace strata {

template <class T>
Shape BatchNorm1D<T>::output_shape(const Shape& input) const {
  const std::string features = std::to_string(this->channels());
  if ((input.size() != 2 && input.size() != 3) || static_cast<Index>(input[1]) != this->channels() ||
      detail::checked_count(input).value_or(0) == 0)
    this->fail_shape("(N, " + features + ") or (N, " + features + ", L) with N, L >= 1", input);
  return input;
}

template class BatchNorm1D<float>;
template class BatchNorm1D<double>;

}  // namespace strata
