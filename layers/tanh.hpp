// Tanh: the hyperbolic tangent.
#pragma once

#include "strata/framework/layer.hpp"

namespace strata {

/// y = tanh(x), any shape. Backward: dx = dy (1 - y^2).
template <class T>
class Tanh final : public Layer<T> {
 public:
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Tanh>(*this); }
  std::string type() const override { return "Tanh"; }

 protected:
  Tensor<T> do_forward(Tensor<T> x) override;
  Tensor<T> do_backward(Tensor<T> dy) override;
  Tensor<T> do_infer(Tensor<T> x) const override;

 private:
  Tensor<T> y_;
};

extern template class Tanh<float>;

}  // namespace strata
