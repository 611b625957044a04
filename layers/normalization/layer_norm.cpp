#include "strata/layers/normalization/layer_norm.hpp"

#include <algorithm>

namespace strata {
namespace {

const Shape& checked(const Shape& normalized_shape) {
  if (normalized_shape.empty() || detail::checked_count(normalized_shape).value_or(0) == 0)
    throw ArgumentError("LayerNorm: expected a normalized_shape of at least one axis, none empty, got " +
                        to_string(normalized_shape));
  return normalized_shape;
}

}  // namespace

template <class T>
LayerNorm<T>::LayerNorm(const Shape& normalized_shape, const LayerNormOptions& options)
    : NormalizationLayer<T>({.type = "LayerNorm", .affine_shape = checked(normalized_shape), .groups = 1},
                            options.eps, options.affine),
      normalized_shape_(normalized_shape) {}

template <class T>
Shape LayerNorm<T>::output_shape(const Shape& input) const {
  if (input.size() < normalized_shape_.size() || detail::checked_count(input).value_or(0) == 0 ||
      !std::equal(normalized_shape_.rbegin(), normalized_shape_.rend(), input.rbegin())) {
    const std::string trailing = to_string(normalized_shape_);
    this->fail_shape("(..., " + trailing.substr(1) + ", not empty", input);
  }
  return input;
}

template <class T>
std::string LayerNorm<T>::options() const {
  return to_string(normalized_shape_) + this->common_options();
}

template <class T>
normalization::Sets LayerNorm<T>::sets(const Shape& x) const {
  const auto m = static_cast<std::size_t>(element_count(normalized_shape_));
  return normalization::per_group({static_cast<std::size_t>(element_count(x)) / m, m}, 1);
}

template class LayerNorm<float>;
template class LayerNorm<double>;

}  // namespace strata
