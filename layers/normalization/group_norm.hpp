// GroupNorm (Wu, He 2018): each sample's groups of channels by their own mean and variance.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/normalization/normalization_layer.hpp"

namespace STRATA_EXPORT strata {

struct GroupNormOptions {
  double eps = 1e-5;
  bool affine = true;
};

/// x (N, C, ...), any rank from 2. The C channels of a sample fall into `groups` groups of neighbors; over
/// the m elements of a group, mean = sum x / m, var = sum (x - mean)^2 / m, and
///
///   y = gamma[c] xhat + beta[c],  xhat = (x - mean) / sqrt(var + eps).
///
/// One group is layer normalization with parameters by channel, C groups are instance normalization.
/// Backward, with g = gamma[c] dy and sums over the group, is as for InstanceNorm2D:
///
///   dx = (g - sum g / m - xhat sum (g xhat) / m) / sqrt(var + eps)
///
/// Training and evaluation are the same. State: weight (gamma), bias (beta), each (C).
template <class T>
class GroupNorm final : public NormalizationLayer<T> {
 public:
  /// Throws ArgumentError unless groups >= 1 divides channels >= 1 and eps > 0.
  GroupNorm(Index groups, Index channels, const GroupNormOptions& options = {});

  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<GroupNorm>(*this); }
  std::string type() const override { return "GroupNorm"; }
  std::string options() const override;

 private:
  Index groups_;
  Index channels_;
};

extern template class GroupNorm<float>;

}  // namespace strata
