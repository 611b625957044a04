// What the reference makes of a normalizing layer's tensors.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

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
  // In long double: sums of tens of thousands of doubles round more than a test allows.
  using Wide = long double;
  const auto wide = [](const Tensor<double>& values) {
    return std::vector<Wide>(values.begin(), values.end());
  };
  const auto narrow = [](const std::vector<Wide>& values, const Shape& shape) {
    auto result = empty<double>(shape);
    std::copy(values.begin(), values.end(), result.begin());
    return result;
  };
  const bool frozen = !mean.empty();
  const auto wide_x = wide(x), wide_gamma = wide(gamma), wide_beta = wide(beta), wide_dy = wide(dy);
  const auto statistics =
      frozen ? normalization::Statistics{mean, variance} : reference::statistics(sets, wide_x.data());
  const normalization::Affine<Wide> affine{wide_gamma.data(), wide_beta.data()};
  const auto count = static_cast<std::size_t>(sets.channels);
  std::vector<Wide> y(x.size()), dx(x.size()), dgamma(count), dbeta(count);
  reference::normalize(sets, wide_x.data(), statistics, affine, eps, y.data());
  reference::normalize_backward(sets, wide_x.data(), wide_dy.data(), statistics, affine, eps, frozen,
                                dx.data(), dgamma.data(), dbeta.data());
  ReferenceResult r{statistics.mean,       statistics.variance,     narrow(y, x.shape()),
                    narrow(dx, x.shape()), narrow(dgamma, {count}), narrow(dbeta, {count})};
  for (Index set = 0; set < sets.count; ++set)
    reference::for_each_element(sets, set, [&](Index i, Index c) {
      const double term = gamma.data()[c] * dy.data()[i] / std::sqrt(statistics.variance[set] + eps);
      r.dx_scale = std::max(r.dx_scale, std::abs(term));
    });
  return r;
}

}  // namespace strata::testing
