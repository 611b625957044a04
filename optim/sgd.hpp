// SGD: stochastic gradient descent, with momentum and Nesterov's look-ahead.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/optim/optimizer.hpp"

namespace STRATA_EXPORT strata {

struct SGDOptions {
  double learning_rate = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;
  bool decay_all = false;  ///< decay biases and the parameters of norms too, as PyTorch does
};

/// With g the gradient plus weight_decay * w (as PyTorch's SGD):
///   without momentum   w -= learning_rate * g
///   with momentum      b = momentum * b + (1 - dampening) * g, and b = g in the first step
///                      w -= learning_rate * b
///   Nesterov           w -= learning_rate * (g + momentum * b)
/// State: "momentum_buffer", if there is momentum. Sutskever et al., ICML 2013.
template <class T>
class SGD final : public Optimizer<T> {
 public:
  /// Throws ArgumentError for an option out of range, and for Nesterov without momentum or with dampening.
  explicit SGD(SGDOptions options = {});

  const SGDOptions& options() const { return options_; }
  std::unique_ptr<Optimizer<T>> clone() const override { return std::make_unique<SGD>(*this); }
  std::string type() const override { return "SGD"; }
  Settings settings() const override;

 protected:
  void update(Parameter<T>& parameter, typename Optimizer<T>::State& state) override;

 private:
  SGDOptions options_;
};

extern template class SGD<float>;

}  // namespace strata
