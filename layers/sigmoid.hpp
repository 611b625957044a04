// Sigmoid: the logistic function.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/squashing.hpp"

namespace STRATA_EXPORT strata {

/// y = 1 / (1 + exp(-x)), any shape. Backward: dx = dy y (1 - y).
template <class T>
class Sigmoid final : public Squashing<T> {
 public:
  Sigmoid() : Squashing<T>(Squashing<T>::Function::sigmoid) {}

  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Sigmoid>(*this); }
  std::string type() const override { return "Sigmoid"; }
};

extern template class Sigmoid<float>;

}  // namespace strata
