// Adagrad: a learning rate per element, falling with the gradients it has seen.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/optim/optimizer.hpp"

namespace STRATA_EXPORT strata {

struct AdagradOptions {
  double learning_rate = 1e-2;
  double learning_rate_decay = 0;  ///< PyTorch's lr_decay
  double weight_decay = 0;
  double initial_accumulator_value = 0;
  double eps = 1e-10;
  bool decay_all = false;  ///< decay biases and the parameters of norms too, as PyTorch does
};

/// With g the gradient plus weight_decay * w, in update t = 1, 2, … (as PyTorch's Adagrad):
///   s += g^2
///   w -= learning_rate / (1 + (t - 1) * learning_rate_decay) * g / (sqrt(s) + eps)
/// State: "sum", s, in T as PyTorch's: in float a million equal gradients leave it 1.4 % off. Duchi et al.,
/// JMLR 2011.
template <class T>
class Adagrad final : public Optimizer<T> {
 public:
  /// Throws ArgumentError for an option out of range.
  explicit Adagrad(AdagradOptions options = {});

  const AdagradOptions& options() const { return options_; }
  std::unique_ptr<Optimizer<T>> clone() const override { return std::make_unique<Adagrad>(*this); }
  std::string type() const override { return "Adagrad"; }
  Settings settings() const override;

 protected:
  void update(Parameter<T>& parameter, typename Optimizer<T>::State& state) override;

 private:
  AdagradOptions options_;
};

extern template class Adagrad<float>;

}  // namespace strata
