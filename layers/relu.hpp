// ReLU: the rectifier.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/leaky_relu.hpp"

namespace STRATA_EXPORT strata {

/// y = max(x, 0), any shape. Backward: dx = dy where x > 0, else 0 (the gradient at 0 is 0). NaN stays NaN,
/// and its dx is dy, as in PyTorch. It is LeakyReLU with a slope of 0.
template <class T>
class ReLU final : public LeakyReLU<T> {
 public:
  ReLU() : LeakyReLU<T>(0) {}

  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<ReLU>(*this); }
  std::string type() const override { return "ReLU"; }
  std::string options() const override { return ""; }
};

extern template class ReLU<float>;

}  // namespace strata
