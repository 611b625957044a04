// BatchNorm1D: batch normalization of features and sequences.
#pragma once

#include "strata/layers/normalization/batch_norm.hpp"

namespace strata {

/// Batch normalization of (N, D), over N, or of (N, C, L), over N and L; see BatchNorm for the formulas.
template <class T>
class BatchNorm1D final : public BatchNorm<T> {
 public:
  /// Throws ArgumentError for features < 1, eps <= 0, and momentum or minimum_factor outside [0, 1].
  explicit BatchNorm1D(Index features, const BatchNormOptions& options = {})
      : BatchNorm<T>("BatchNorm1D", features, options) {}

  Shape output_shape(const Shape& input) const override;
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<BatchNorm1D>(*this); }
  std::string type() const override { return "BatchNorm1D"; }
};

extern template class BatchNorm1D<float>;

}  // namespace strata
