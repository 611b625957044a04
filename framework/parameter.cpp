#include "strata/framework/parameter.hpp"

#include <utility>

namespace strata {

template <class T>
Parameter<T>::Parameter() = default;
template <class T>
Parameter<T>::Parameter(std::string name_, Tensor<T> value_, bool decay_)
    : name(std::move(name_)),
      value(std::move(value_)),
      gradient(zeros<T>(value.shape())),
      decay(decay_),
      shape_(value.shape()) {}
template <class T>
Parameter<T>::Parameter(const Parameter&) = default;
template <class T>
Parameter<T>::Parameter(Parameter&&) noexcept = default;
template <class T>
Parameter<T>& Parameter<T>::operator=(const Parameter&) = default;
template <class T>
Parameter<T>& Parameter<T>::operator=(Parameter&& other) noexcept {
  if (this == &other) return *this;  // else strings and tensors would empty themselves
  name = std::move(other.name);
  value = std::move(other.value);
  gradient = std::move(other.gradient);
  trainable = other.trainable;
  decay = other.decay;
  shape_ = std::move(other.shape_);
  return *this;
}
template <class T>
Parameter<T>::~Parameter() = default;

template <class T>
std::string Parameter<T>::misfit() const {
  const auto problem = [&](const char* of, const Tensor<T>& tensor) -> std::string {
    if (detail::has_shape(tensor, shape_)) return "";
    return "a " + (of + name) + " of shape " + to_string(shape_) + ", got " + detail::shape_found(tensor);
  };
  std::string found = problem("", value);
  return found.empty() ? problem("gradient of ", gradient) : found;
}

template struct Parameter<float>;
template struct Parameter<double>;

}  // namespace strata
