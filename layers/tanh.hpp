// Tanh: the hyperbolic tangent.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/squashing.hpp"

namespace STRATA_EXPORT strata {

/// y = tanh(x), any shape. Backward: dx = dy (1 - y^2).
template <class T>
class Tanh final : public Squashing<T> {
 public:
  Tanh() : Squashing<T>(Squashing<T>::Function::tanh) {}

  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Tanh>(*this); }
  std::string type() const override { return "Tanh"; }
};

extern template class Tanh<float>;

}  // namespace strata
