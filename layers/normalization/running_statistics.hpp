// Running averages of a mean and a variance.
#pragma once

#include <optional>

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"
#include "strata/layers/reference/normalization.hpp"

namespace STRATA_EXPORT strata {

/// r = (1 - m) r + m batch for each channel's mean and variance, which start at 0 and 1; both (C). m is the
/// momentum, the weight of the new batch; without one the average is cumulative, m = max(1 / num_batches,
/// minimum_factor).
template <class T>
class RunningStatistics {
 public:
  /// Throws ArgumentError, with the layer's type, unless 0 <= momentum, minimum_factor <= 1.
  RunningStatistics(const char* type, const Shape& shape, std::optional<double> momentum,
                    double minimum_factor);

  /// Takes in the statistics of a batch: of set n * channels + c for channel c, averaged over n. Variances
  /// are multiplied by `correction`. A channel's averages stay as they are where new ones would not be
  /// finite: one batch that overflowed would spoil them for good.
  void update(const normalization::Statistics& batch, double correction);
  void reset();
  /// Throws ShapeError, with the layer's label, if someone replaced an average by one of another shape.
  void check(const std::string& label) const;

  normalization::Statistics statistics() const;
  std::vector<Buffer<T>> buffers();
  /// ", momentum 0.01": what differs from the defaults.
  std::string options() const;

  Tensor<T> mean;
  Tensor<T> variance;
  std::int64_t num_batches = 0;

 private:
  Shape shape_;
  std::optional<double> momentum_;
  double minimum_factor_;
};

extern template class RunningStatistics<float>;

}  // namespace strata
