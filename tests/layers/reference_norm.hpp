// Normalization straight from the formula, by plain loops in double.
#pragma once

#include <functional>

#include "strata/framework/tensor.hpp"

namespace strata::testing {

/// Which set an element of x belongs to, and which element of gamma, from its flat index.
struct ReferenceNorm {
  Index sets;
  Index parameters;
  std::function<Index(Index)> set_of;
  std::function<Index(Index)> parameter_of;

  /// Over all axes but 1.
  static ReferenceNorm over_batch(const Shape& x) {
    const auto channels = static_cast<Index>(x[1]),
               length = element_count(x) / (static_cast<Index>(x[0]) * channels);
    const auto channel = [=](Index i) { return i / length % channels; };
    return {channels, channels, channel, channel};
  }
  /// Over groups of channels of a sample.
  static ReferenceNorm over_groups(const Shape& x, Index groups) {
    const Index size = element_count(x) / (static_cast<Index>(x[0]) * groups);
    auto norm = over_batch(x);
    norm.sets = static_cast<Index>(x[0]) * groups;
    norm.set_of = [=](Index i) { return i / size; };
    return norm;
  }
  /// Over the trailing axes of m elements.
  static ReferenceNorm over_slices(const Shape& x, Index m) {
    return {element_count(x) / m, m, [=](Index i) { return i / m; }, [=](Index i) { return i % m; }};
  }
};

struct ReferenceResult {
  std::vector<double> mean, variance;  ///< of the sets; the variance is biased
  Tensor<double> y, dx, dgamma, dbeta;
  double dx_scale = 0;  ///< of the terms of dx, which nearly cancel in sets of two values
};

/// y = gamma (x - mean) / sqrt(var + eps) + beta and the gradients for dy. With `mean` and `variance` those
/// are taken as constants.
inline ReferenceResult reference_norm(const ReferenceNorm& norm, const Tensor<double>& x,
                                      const Tensor<double>& gamma, const Tensor<double>& beta,
                                      const Tensor<double>& dy, double eps, std::vector<double> mean = {},
                                      std::vector<double> variance = {}) {
  const auto size = static_cast<Index>(x.size());
  const bool frozen = !mean.empty();
  const auto m = static_cast<double>(size / norm.sets);
  if (!frozen) {
    mean.assign(norm.sets, 0);
    variance.assign(norm.sets, 0);
    for (Index i = 0; i < size; ++i) mean[norm.set_of(i)] += x.data()[i] / m;
    for (Index i = 0; i < size; ++i)
      variance[norm.set_of(i)] += std::pow(x.data()[i] - mean[norm.set_of(i)], 2) / m;
  }
  ReferenceResult r{mean,
                    variance,
                    empty<double>(x.shape()),
                    empty<double>(x.shape()),
                    full<double>({static_cast<std::size_t>(norm.parameters)}, 0),
                    full<double>({static_cast<std::size_t>(norm.parameters)}, 0)};
  const auto inv_std = [&](Index i) { return 1 / std::sqrt(variance[norm.set_of(i)] + eps); };
  const auto xhat = [&](Index i) { return (x.data()[i] - mean[norm.set_of(i)]) * inv_std(i); };
  const auto g = [&](Index i) { return gamma.data()[norm.parameter_of(i)] * dy.data()[i]; };
  std::vector<double> mean_g(norm.sets), mean_g_xhat(norm.sets);
  for (Index i = 0; i < size; ++i) {
    const Index p = norm.parameter_of(i);
    r.y.data()[i] = gamma.data()[p] * xhat(i) + beta.data()[p];
    r.dgamma.data()[p] += dy.data()[i] * xhat(i);
    r.dbeta.data()[p] += dy.data()[i];
    mean_g[norm.set_of(i)] += g(i) / m;
    mean_g_xhat[norm.set_of(i)] += g(i) * xhat(i) / m;
  }
  for (Index i = 0; i < size; ++i) {
    const Index s = norm.set_of(i);
    r.dx_scale = std::max(r.dx_scale, std::abs(inv_std(i) * g(i)));
    r.dx.data()[i] = inv_std(i) * (frozen ? g(i) : g(i) - mean_g[s] - xhat(i) * mean_g_xhat[s]);
  }
  return r;
}

}  // namespace strata::testing
