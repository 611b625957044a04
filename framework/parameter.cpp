#include "strata/framework/parameter.hpp"

#include <utility>

namespace strata {

template <class T>
Parameter<T>::Parameter() = default;
template <class T>
Parameter<T>::Parameter(std::string name_, Tensor<T> value_, bool decay_)
    : name(std::move(name_)), value(std::move(value_)), gradient(zeros<T>(value.shape())), decay(decay_) {}
template <class T>
Parameter<T>::Parameter(const Parameter&) = default;
template <class T>
Parameter<T>::Parameter(Parameter&&) noexcept = default;
template <class T>
Parameter<T>& Parameter<T>::operator=(const Parameter&) = default;
template <class T>
Parameter<T>& Parameter<T>::operator=(Parameter&&) noexcept = default;
template <class T>
Parameter<T>::~Parameter() = default;

template struct Parameter<float>;
template struct Parameter<double>;

}  // namespace strata
