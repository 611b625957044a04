// Normalization of sets that are one run of elements each, as the planes of an instance norm: each goes from
// its statistics to its result while it lies in the cache next to the core.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// Sets that follow each other in memory. Set s has the gamma and the beta of channel (first_channel + s) %
/// channels; without them, gamma = 1 and beta = 0.
template <class T>
struct PlaneSets {
  const T* x;
  Index count;
  Index length;  ///< of a set
  const T* gamma;
  const T* beta;
  Index first_channel;
  Index channels;
  double eps;
  bool rectify;
};

/// y, dx, rectify and the sums as in kernels::Normalization; y may be x, and dx may be x or dy.
template <class T>
struct PlaneNormalization {
  /// Sets mean and variance of each set, and y.
  void (*forward)(const PlaneSets<T>& planes, T* y, double* mean, double* variance);
  /// Sets dx, and of each set sum g and sum g xhat, with the statistics that forward found.
  void (*backward)(const PlaneSets<T>& planes, const T* dy, T* dx, const double* mean, const double* variance,
                   double* sum_g, double* sum_g_xhat);
};

}  // namespace strata::kernels
