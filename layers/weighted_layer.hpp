// What Linear and the convolutions have in common: a weight, and perhaps a bias.
#pragma once

#include <optional>

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"

namespace STRATA_EXPORT strata {

/// Base of the layers that multiply by a weight. Both parameters start as PyTorch's: uniform in
/// +-1/sqrt(fan_in), where fan_in counts the weights of one unit, which is the product of the weight's axes
/// but the first.
template <class T>
class WeightedLayer : public Layer<T> {
 public:
  Parameter<T>& weight();
  const Parameter<T>& weight() const;
  /// Throws StateError if the layer has none.
  Parameter<T>& bias();
  bool has_bias() const { return bias_.has_value(); }
  /// Null if there is no bias.
  const T* bias_values() const { return bias_ ? bias_->value.data() : nullptr; }
  /// Sets the bias's gradient, if there is a bias, to the sums of dy (N, channels, …) by channel.
  void set_bias_gradient(const Tensor<T>& dy);

 protected:
  WeightedLayer(const Shape& weight, Index biases, bool bias);
  // Defined in the library, as Parameter's.
  WeightedLayer(const WeightedLayer&);
  WeightedLayer(WeightedLayer&&) noexcept;
  WeightedLayer& operator=(const WeightedLayer&);
  WeightedLayer& operator=(WeightedLayer&&) noexcept;
  ~WeightedLayer() override;

  /// y from x: forward keeps x for backward, infer nothing.
  virtual Tensor<T> apply(const Tensor<T>& x) const = 0;
  Tensor<T> do_forward(Tensor<T> x, Record& record) override { return apply(record.keep(std::move(x))); }
  Tensor<T> do_infer(Tensor<T> x) const override { return apply(x); }
  std::vector<Parameter<T>*> own_parameters() override;
  void reset_parameters(Random& random) override;
  void check_own_tensors() const override;

 private:
  // Of the parameters, also when someone has assigned others.
  Shape shape_;
  Shape bias_shape_;
  Parameter<T> weight_;
  std::optional<Parameter<T>> bias_;
};

extern template class WeightedLayer<float>;

}  // namespace strata
