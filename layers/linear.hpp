// Linear: the fully connected layer.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/weighted_layer.hpp"

namespace STRATA_EXPORT strata {

struct LinearOptions {
  bool bias = true;
};

/// y = x W^T + b. x (N, in), y (N, out); weight (out, in), bias (out).
/// Backward: dx = dy W, dW = dy^T x, db = sum over N of dy.
/// Starts as PyTorch's: weight and bias uniform in +-1/sqrt(in).
template <class T>
class Linear final : public WeightedLayer<T> {
 public:
  /// Throws ArgumentError unless both counts are positive.
  Linear(Index in_features, Index out_features, LinearOptions options = {});

  Shape output_shape(const Shape& input) const override;
  std::uint64_t multiply_adds(const Shape& input) const override;
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Linear>(*this); }
  std::string type() const override { return "Linear"; }
  std::string options() const override;

 protected:
  Tensor<T> apply(const Tensor<T>& x) const override;
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  void do_backward_parameters(Tensor<T> dy, Record& record) override;

 private:
  Index in_;
  Index out_;
};

extern template class Linear<float>;

}  // namespace strata
