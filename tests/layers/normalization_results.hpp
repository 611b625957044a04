// What the reference makes of a normalizing layer's tensors.
#pragma once

#include "strata/layers/reference/normalization.hpp"

namespace strata::testing {

/// Over the trailing axes of m elements, each with a gamma of its own.
inline normalization::Sets per_slice(const Shape& x, Index m) {
  return normalization::per_group(
      {static_cast<std::size_t>(element_count(x) / m), static_cast<std::size_t>(m)}, 1);
}

struct ReferenceResult {
  std::vector<double> mean, variance;  ///< of the sets; the variance is biased
  Tensor<double> y, dx, dgamma, dbeta;
  double dx_scale = 0;  ///< of the terms of dx, which nearly cancel in sets of two values
};

/// With `mean` and `variance` those are taken as constants.
inline ReferenceResult reference_norm(const normalization::Sets& sets, const Tensor<double>& x,
                                      const Tensor<double>& gamma, const Tensor<double>& beta,
                                      const Tensor<double>& dy, double eps,
                                      const std::vector<double>& mean = {},
                                      const std::vector<double>& variance = {}) {
  const bool frozen = !mean.empty();
  const auto statistics =
      frozen ? normalization::Statistics{mean, variance} : reference::statistics(sets, x.data());
  const normalization::Affine<double> affine{gamma.data(), beta.data()};
  const Shape channels{static_cast<std::size_t>(sets.channels)};
  ReferenceResult r{statistics.mean,          statistics.variance,     empty<double>(x.shape()),
                    empty<double>(x.shape()), empty<double>(channels), empty<double>(channels)};
  reference::normalize(sets, x.data(), statistics, affine, eps, r.y.data());
  reference::normalize_backward(sets, x.data(), dy.data(), statistics, affine, eps, frozen, r.dx.data(),
                                r.dgamma.data(), r.dbeta.data());
  for (Index set = 0; set < sets.count; ++set)
    reference::for_each_element(sets, set, [&](Index i, Index c) {
      const double term = gamma.data()[c] * dy.data()[i] / std::sqrt(statistics.variance[set] + eps);
      r.dx_scale = std::max(r.dx_scale, std::abs(term));
    });
  return r;
}

}  // namespace strata::testing
