// Adam and AdamW: momentum and a learning rate per element, both corrected for their start at zero.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/optim/optimizer.hpp"

namespace STRATA_EXPORT strata {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  bool decay_all = false;  ///< decay biases and the parameters of norms too, as PyTorch does
};

/// With g the gradient plus weight_decay * w, in update t = 1, 2, … (as PyTorch's Adam):
///   m = beta1 * m + (1 - beta1) * g
///   v = beta2 * v + (1 - beta2) * g^2
///   w -= learning_rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
/// State: m is "exp_avg", v is "exp_avg_sq". Kingma and Ba, ICLR 2015.
template <class T>
class Adam final : public Optimizer<T> {
 public:
  /// Throws ArgumentError for an option out of range.
  explicit Adam(AdamOptions options = {});

  const AdamOptions& options() const { return options_; }
  std::unique_ptr<Optimizer<T>> clone() const override { return std::make_unique<Adam>(*this); }
  std::string type() const override { return "Adam"; }
  Settings settings() const override;

 protected:
  void update(Parameter<T>& parameter, typename Optimizer<T>::State& state) override;

 private:
  AdamOptions options_;
};

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;
  bool decay_all = false;  ///< decay biases and the parameters of norms too, as PyTorch does
};

/// Adam whose weight decay does not pass through the averages: g is the gradient alone, and
///   w *= 1 - learning_rate * weight_decay
/// comes before the update. State as Adam's. Loshchilov and Hutter, ICLR 2019.
template <class T>
class AdamW final : public Optimizer<T> {
 public:
  /// Throws ArgumentError for an option out of range.
  explicit AdamW(AdamWOptions options = {});

  const AdamWOptions& options() const { return options_; }
  std::unique_ptr<Optimizer<T>> clone() const override { return std::make_unique<AdamW>(*this); }
  std::string type() const override { return "AdamW"; }
  Settings settings() const override;

 protected:
  void update(Parameter<T>& parameter, typename Optimizer<T>::State& state) override;

 private:
  AdamWOptions options_;
};

extern template class Adam<float>;
extern template class AdamW<float>;

}  // namespace strata
