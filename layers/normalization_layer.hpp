// What every normalizing layer has: eps, and a weight and bias of its own.
#pragma once

#include <optional>

#include "strata/framework/layer.hpp"
#include "strata/layers/normalization.hpp"

namespace strata {

/// Base of the normalizing layers. `weight` is gamma, starts at 1; `bias` is beta, starts at 0; both have the
/// shape of `affine_shape` and are exempt from weight decay.
template <class T>
class NormalizationLayer : public Layer<T> {
 public:
  /// gamma and beta. Throw StateError if the layer has none.
  Parameter<T>& weight();
  Parameter<T>& bias();

 protected:
  /// Throws ArgumentError unless eps > 0 and finite; `type` is for its message.
  NormalizationLayer(const char* type, const Shape& affine_shape, double eps, bool affine);
  /// (channels). Throws ArgumentError unless there is at least 1.
  static Shape channel_shape(const char* type, Index channels);

  std::vector<Parameter<T>*> own_parameters() override;
  void reset_parameters(Random& random) override;

  double eps() const { return eps_; }
  /// Throws ShapeError if someone replaced weight or bias by a tensor of another shape.
  normalization::Affine<T> affine() const;
  /// Where the gradients go; null without weight and bias.
  T* weight_gradient() { return weight_ ? weight_->gradient.data() : nullptr; }
  T* bias_gradient() { return bias_ ? bias_->gradient.data() : nullptr; }
  /// ", eps 0.001, no weight and bias": what differs from the defaults.
  std::string common_options() const;

 private:
  Shape affine_shape_;
  double eps_;
  std::optional<Parameter<T>> weight_;
  std::optional<Parameter<T>> bias_;
};

extern template class NormalizationLayer<float>;
extern template class NormalizationLayer<double>;

}  // namespace strata
