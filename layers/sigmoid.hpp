// Sigmoid: the logistic function.
#pragma once

#include "strata/framework/layer.hpp"

namespace strata {

/// y = 1 / (1 + exp(-x)), any shape. Backward: dx = dy y (1 - y).
template <class T>
class Sigmoid final : public Layer<T> {
 public:
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Sigmoid>(*this); }
  std::string type() const override { return "Sigmoid"; }

 protected:
  Tensor<T> do_forward(Tensor<T> x) override;
  Tensor<T> do_backward(Tensor<T> dy) override;
  Tensor<T> do_infer(Tensor<T> x) const override;

 private:
  Tensor<T> y_;
};

extern template class Sigmoid<float>;

}  // namespace strata
