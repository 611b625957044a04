// RMSProp: gradients divided by a running average of their size.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/optim/optimizer.hpp"

namespace STRATA_EXPORT strata {

struct RMSPropOptions {
  double learning_rate = 1e-2;
  double alpha = 0.99;  ///< weight of the old average
  double eps = 1e-8;
  double weight_decay = 0;
  double momentum = 0;
  bool centered = false;   ///< divide by the standard deviation instead
  bool decay_all = false;  ///< decay biases and the parameters of norms too, as PyTorch does
};

/// With g the gradient plus weight_decay * w (as PyTorch's RMSprop):
///   v = alpha * v + (1 - alpha) * g^2
///   centered: a = alpha * a + (1 - alpha) * g, and v - a^2 takes the place of v below
///   u = g / (sqrt(v) + eps)
///   w -= learning_rate * u; with momentum, b = momentum * b + u and w -= learning_rate * b
/// State: "square_avg", "grad_avg" if centered, "momentum_buffer" if there is momentum. Hinton, 2012.
template <class T>
class RMSProp final : public Optimizer<T> {
 public:
  /// Throws ArgumentError for an option out of range.
  explicit RMSProp(RMSPropOptions options = {});

  const RMSPropOptions& options() const { return options_; }
  std::unique_ptr<Optimizer<T>> clone() const override { return std::make_unique<RMSProp>(*this); }
  std::string type() const override { return "RMSProp"; }
  Settings settings() const override;

 protected:
  void update(Parameter<T>& parameter, typename Optimizer<T>::State& state) override;

 private:
  RMSPropOptions options_;
};

extern template class RMSProp<float>;

}  // namespace strata
