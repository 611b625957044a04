// Linear: the fully connected layer.
#pragma once

#include <optional>

#include "strata/framework/layer.hpp"

namespace strata {

struct LinearOptions {
  bool bias = true;
};

/// y = x W^T + b. x (N, in), y (N, out); weight (out, in), bias (out).
/// Backward: dx = dy W, dW = dy^T x, db = sum over N of dy.
/// Starts as PyTorch's: weight and bias uniform in +-1/sqrt(in).
template <class T>
class Linear final : public Layer<T> {
 public:
  /// Throws ArgumentError unless both counts are positive.
  Linear(Index in_features, Index out_features, LinearOptions options = {});

  Parameter<T>& weight() { return weight_; }
  /// Throws StateError if the layer has none.
  Parameter<T>& bias();

  Shape output_shape(const Shape& input) const override;
  std::uint64_t multiply_adds(const Shape& input) const override;
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Linear>(*this); }
  std::string type() const override { return "Linear"; }
  std::string options() const override;

 protected:
  Tensor<T> do_forward(Tensor<T> x) override;
  Tensor<T> do_backward(Tensor<T> dy) override;
  void do_backward_parameters(Tensor<T> dy) override;
  Tensor<T> do_infer(Tensor<T> x) const override;
  std::vector<Parameter<T>*> own_parameters() override;
  void reset_parameters(Random& random) override;

 private:
  Tensor<T> apply(const Tensor<T>& x) const;

  Index in_;
  Index out_;
  Parameter<T> weight_;
  std::optional<Parameter<T>> bias_;
  Tensor<T> x_;
};

extern template class Linear<float>;

}  // namespace strata
