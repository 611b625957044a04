// Batch normalization (Ioffe, Szegedy 2015): BatchNorm1D and SpatialBatchNorm.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/normalization/normalization_layer.hpp"

namespace STRATA_EXPORT strata {

struct BatchNormOptions {
  double eps = 1e-5;
  /// Weight of the new batch in the running averages (CS231n's is the weight of the old value); nullopt: the
  /// cumulative average over all batches.
  std::optional<double> momentum = 0.1;
  /// Of a cumulative average: the least weight of a new batch.
  double minimum_factor = 0;
  bool affine = true;
  bool track_running_stats = true;
  /// The running variance averages the variance with m - 1 below, as PyTorch does, instead of m.
  bool unbiased = false;
};

/// y = gamma xhat + beta, xhat = (x - mean) / sqrt(var + eps), channel by channel; C is axis 1.
///
/// In training, mean and var (biased) are those of the m elements that the batch has of the channel, and the
/// running averages take them in. In evaluation they are the running averages, which are 0 and 1 at first;
/// without track_running_stats those of the batch even then.
///
/// Backward: dbeta = sum dy, dgamma = sum dy xhat, and in training
///   dx = gamma / sqrt(var + eps) (dy - dbeta / m - xhat dgamma / m),
/// the last two terms because mean and var depend on x; in evaluation dx = gamma / sqrt(var + eps) dy.
///
/// State: weight (gamma), bias (beta), running_mean, running_var (C), num_batches_tracked, as in PyTorch.
template <class T>
class BatchNorm : public NormalizationLayer<T> {
 public:
  /// To read or to set, each (C). Throw StateError without track_running_stats.
  Tensor<T>& running_mean() { return this->running().mean; }
  Tensor<T>& running_var() { return this->running().variance; }
  std::int64_t& num_batches_tracked() { return this->running().num_batches; }

  std::string options() const override;

 protected:
  /// `ranks`: the least and the most that x may have; `axes`: what x has to be, for messages.
  BatchNorm(const char* type, Index channels, std::pair<std::size_t, std::size_t> ranks,
            const std::string& axes, const BatchNormOptions& options);

 private:
  Index channels_;
};

/// Batch normalization of (N, D), over N, or of (N, C, L), over N and L.
template <class T>
class BatchNorm1D final : public BatchNorm<T> {
 public:
  /// Throws ArgumentError for features < 1, eps <= 0, and momentum or minimum_factor outside [0, 1].
  explicit BatchNorm1D(Index features, const BatchNormOptions& options = {});

  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<BatchNorm1D>(*this); }
  std::string type() const override { return "BatchNorm1D"; }
};

/// Batch normalization of (N, C, H, W), over N, H and W. PyTorch's BatchNorm2d, except that the running
/// variance is the biased one unless `unbiased`.
template <class T>
class SpatialBatchNorm final : public BatchNorm<T> {
 public:
  /// Throws ArgumentError for channels < 1, eps <= 0, and momentum or minimum_factor outside [0, 1].
  explicit SpatialBatchNorm(Index channels, const BatchNormOptions& options = {});

  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<SpatialBatchNorm>(*this); }
  std::string type() const override { return "SpatialBatchNorm"; }
};

extern template class BatchNorm<float>;
extern template class BatchNorm1D<float>;
extern template class SpatialBatchNorm<float>;

}  // namespace strata
