// ReLU: the rectifier.
#pragma once

#include "strata/framework/layer.hpp"

namespace strata {

/// y = max(x, 0), any shape. Backward: dx = dy where x > 0, else 0 (the gradient at 0 is 0).
template <class T>
class ReLU final : public Layer<T> {
 public:
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<ReLU>(*this); }
  std::string type() const override { return "ReLU"; }

 protected:
  Tensor<T> do_forward(Tensor<T> x) override;
  Tensor<T> do_backward(Tensor<T> dy) override;
  Tensor<T> do_infer(Tensor<T> x) const override;

 private:
  std::vector<std::uint8_t> positive_;  // one bit an element
};

extern template class ReLU<float>;
extern template class ReLU<double>;

}  // namespace strata
