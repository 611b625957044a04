// LayerNorm (Ba, Kiros, Hinton 2016): each sample, or its trailing axes, by its own mean and variance.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/normalization/normalization_layer.hpp"

namespace STRATA_EXPORT strata {

struct LayerNormOptions {
  double eps = 1e-5;
  bool affine = true;
};

/// x (..., normalized_shape). Over the m elements of each slice that the trailing axes make,
/// mean = sum x / m, var = sum (x - mean)^2 / m, and element by element
///
///   y = gamma xhat + beta,  xhat = (x - mean) / sqrt(var + eps).
///
/// Backward, with g = gamma dy and sums over the slice:
///
///   dx = (g - sum g / m - xhat sum (g xhat) / m) / sqrt(var + eps)
///
/// and dbeta, dgamma are the sums of dy and dy xhat over the slices. Training and evaluation are the same.
/// State: weight (gamma), bias (beta), each of normalized_shape.
template <class T>
class LayerNorm final : public NormalizationLayer<T> {
 public:
  /// Throws ArgumentError unless normalized_shape has at least one axis, none of them empty, and eps > 0.
  explicit LayerNorm(const Shape& normalized_shape, const LayerNormOptions& options = {});

  Shape output_shape(const Shape& input) const override;
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<LayerNorm>(*this); }
  std::string type() const override { return "LayerNorm"; }
  std::string options() const override;
  /// A slice is a sample of one group, each element a channel of its own.
  normalization::Sets sets(const Shape& x) const override;

 private:
  Shape normalized_shape_;
};

extern template class LayerNorm<float>;

}  // namespace strata
