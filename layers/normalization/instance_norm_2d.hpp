// InstanceNorm2D (Ulyanov, Vedaldi, Lempitsky 2016): each plane of each image by its own mean and variance.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/normalization/normalization_layer.hpp"

namespace STRATA_EXPORT strata {

struct InstanceNormOptions {
  double eps = 1e-5;
  /// As in BatchNormOptions; they matter with track_running_stats only.
  std::optional<double> momentum = 0.1;
  double minimum_factor = 0;
  bool affine = true;  ///< PyTorch: false
  bool track_running_stats = false;
  bool unbiased = false;
};

/// For each sample n and channel c of x (N, C, H, W), over the m = H W pixels of the plane:
///
///   mean = sum x / m,  var = sum (x - mean)^2 / m
///   xhat = (x - mean) / sqrt(var + eps)
///   y = gamma[c] xhat + beta[c]
///
/// Backward, with sums over the plane and g = gamma[c] dy = dL/dxhat:
///
///   dbeta[c] = sum over n of sum dy
///   dgamma[c] = sum over n of sum dy xhat
///   dx = (g - sum g / m - xhat sum (g xhat) / m) / sqrt(var + eps)
///
/// The first term of dx is x's own path to y; the others go through the mean, d mean / dx_i = 1 / m, and
/// through the variance, d var / dx_i = 2 (x_i - mean) / m: moving one pixel moves the whole plane.
///
/// With track_running_stats, running averages take in the batch's average of mean and of var (times m / (m -
/// 1) if unbiased), and evaluation uses them as constants: dx = g / sqrt(running_var + eps). Otherwise
/// evaluation is the same as training.
///
/// State: weight (gamma), bias (beta) (C); with track_running_stats also running_mean, running_var (C) and
/// num_batches_tracked. PyTorch does not count the batches, and takes no momentum for 0 instead of
/// cumulative.
template <class T>
class InstanceNorm2D final : public NormalizationLayer<T> {
 public:
  /// Throws ArgumentError for channels < 1, eps <= 0, and momentum or minimum_factor outside [0, 1].
  explicit InstanceNorm2D(Index channels, const InstanceNormOptions& options = {});

  /// To read or to set, each (C). Throw StateError without track_running_stats.
  Tensor<T>& running_mean() { return this->running().mean; }
  Tensor<T>& running_var() { return this->running().variance; }
  std::int64_t& num_batches_tracked() { return this->running().num_batches; }

  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<InstanceNorm2D>(*this); }
  std::string type() const override { return "InstanceNorm2D"; }
  std::string options() const override;

 private:
  Index channels_;
};

extern template class InstanceNorm2D<float>;

}  // namespace strata
