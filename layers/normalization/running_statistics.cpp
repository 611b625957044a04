#include "strata/layers/normalization/running_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace strata {

template <class T>
RunningStatistics<T>::RunningStatistics(const char* type, const Shape& shape, std::optional<double> momentum,
                                        double minimum_factor)
    : mean(zeros<T>(shape)),
      variance(full<T>(shape, T{1})),
      shape_(shape),
      momentum_(momentum),
      minimum_factor_(minimum_factor) {
  if (momentum && !(*momentum >= 0 && *momentum <= 1))
    throw ArgumentError(std::string(type) +
                        ": expected 0 <= momentum <= 1, the weight of the new batch, got " +
                        std::to_string(*momentum));
  if (!(minimum_factor >= 0 && minimum_factor <= 1))
    throw ArgumentError(std::string(type) + ": expected 0 <= minimum_factor <= 1, got " +
                        std::to_string(minimum_factor));
}

template <class T>
void RunningStatistics<T>::update(const normalization::Statistics& batch, double correction) {
  const double m =
      momentum_ ? *momentum_ : std::max(1 / static_cast<double>(num_batches + 1), minimum_factor_);
  bool counts = false;  // not a batch of which nothing is taken in
  const auto channels = mean.size(), samples = batch.mean.size() / channels;
  for (std::size_t c = 0; c < channels; ++c) {
    const auto moved = [&](const Tensor<T>& average, const std::vector<double>& values, double factor) {
      double sum = 0;
      for (std::size_t n = 0; n < samples; ++n) sum += values[n * channels + c];
      const double share = m * factor / static_cast<double>(samples);
      return static_cast<T>((1 - m) * static_cast<double>(average.data()[c]) + share * sum);
    };
    const T new_mean = moved(mean, batch.mean, 1), new_variance = moved(variance, batch.variance, correction);
    if (!std::isfinite(new_mean) || !std::isfinite(new_variance)) continue;
    mean.data()[c] = new_mean;
    variance.data()[c] = new_variance;
    counts = true;
  }
  if (counts) ++num_batches;
}

template <class T>
void RunningStatistics<T>::reset() {
  mean = zeros<T>(shape_);
  variance = full<T>(shape_, T{1});
  num_batches = 0;
}

template <class T>
void RunningStatistics<T>::check(const std::string& label) const {
  for (const auto& [name, value] : {std::pair{"running_mean", &mean}, {"running_var", &variance}})
    if (!detail::has_shape(*value, shape_))
      throw ShapeError(label + ": expected a " + name + " of shape " + to_string(shape_) + ", got " +
                       detail::shape_found(*value));
}

template <class T>
normalization::Statistics RunningStatistics<T>::statistics() const {
  return {{mean.begin(), mean.end()}, {variance.begin(), variance.end()}};
}

template <class T>
std::vector<Buffer<T>> RunningStatistics<T>::buffers() {
  return {{"running_mean", &mean}, {"running_var", &variance}, {"num_batches_tracked", &num_batches}};
}

template <class T>
std::string RunningStatistics<T>::options() const {
  std::ostringstream text;
  if (!momentum_) {
    text << ", cumulative average";
    if (minimum_factor_ > 0) text << " (factor >= " << minimum_factor_ << ")";
  } else if (*momentum_ != 0.1) {
    text << ", momentum " << *momentum_;
  }
  return text.str();
}

template class RunningStatistics<float>;
template class RunningStatistics<double>;

}  // namespace strata
