// SpatialBatchNorm: batch normalization of images.
#pragma once

#include "strata/layers/normalization/batch_norm.hpp"

namespace strata {

/// Batch normalization of (N, C, H, W), over N, H and W; see BatchNorm for the formulas. PyTorch's
/// BatchNorm2d, except that the running variance is the biased one unless `unbiased`.
template <class T>
class SpatialBatchNorm final : public BatchNorm<T> {
 public:
  /// Throws ArgumentError for channels < 1, eps <= 0, and momentum or minimum_factor outside [0, 1].
  explicit SpatialBatchNorm(Index channels, const BatchNormOptions& options = {})
      : BatchNorm<T>("SpatialBatchNorm", channels, options) {}

  Shape output_shape(const Shape& input) const override;
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<SpatialBatchNorm>(*this); }
  std::string type() const override { return "SpatialBatchNorm"; }
};

extern template class SpatialBatchNorm<float>;

}  // namespace strata
