#include "strata/layers/normalization_layer.hpp"

#include <cmath>
#include <sstream>

namespace strata {

template <class T>
NormalizationLayer<T>::NormalizationLayer(const char* type, const Shape& affine_shape, double eps,
                                          bool affine)
    : affine_shape_(affine_shape), eps_(eps) {
  if (!(eps > 0 && std::isfinite(eps)))
    throw ArgumentError(std::string(type) + ": expected a finite eps > 0, got " + std::to_string(eps));
  if (!affine) return;
  weight_ = Parameter<T>("weight", full<T>(affine_shape, T{1}), /*decay=*/false);
  bias_ = Parameter<T>("bias", full<T>(affine_shape, T{0}), /*decay=*/false);
}

template <class T>
Shape NormalizationLayer<T>::channel_shape(const char* type, Index channels) {
  if (channels < 1)
    throw ArgumentError(std::string(type) + ": expected at least 1 channel, got " + std::to_string(channels));
  return {static_cast<std::size_t>(channels)};
}

template <class T>
Parameter<T>& NormalizationLayer<T>::weight() {
  if (!weight_) throw StateError(this->label() + ": was made with affine = false and has no weight");
  return *weight_;
}

template <class T>
Parameter<T>& NormalizationLayer<T>::bias() {
  if (!bias_) throw StateError(this->label() + ": was made with affine = false and has no bias");
  return *bias_;
}

template <class T>
std::vector<Parameter<T>*> NormalizationLayer<T>::own_parameters() {
  if (!weight_) return {};
  return {&*weight_, &*bias_};
}

template <class T>
void NormalizationLayer<T>::reset_parameters(Random& /*random*/) {
  if (!weight_) return;
  weight_->value.fill(T{1});
  bias_->value.fill(T{0});
}

template <class T>
normalization::Affine<T> NormalizationLayer<T>::affine() const {
  if (!weight_) return {};
  for (const Parameter<T>* parameter : {&*weight_, &*bias_})
    if (parameter->value.shape() != affine_shape_)
      throw ShapeError(this->label() + ": expected a " + parameter->name + " of shape " +
                       to_string(affine_shape_) + ", got " + to_string(parameter->value.shape()));
  return {weight_->value.data(), bias_->value.data()};
}

template <class T>
std::string NormalizationLayer<T>::common_options() const {
  std::ostringstream text;
  if (eps_ != 1e-5) text << ", eps " << eps_;
  if (!weight_) text << ", no weight and bias";
  return text.str();
}

template class NormalizationLayer<float>;
template class NormalizationLayer<double>;

}  // namespace strata
