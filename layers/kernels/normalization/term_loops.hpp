// The numbers that normalization computes once a set, for many sets that have one channel each.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// Arrays hold an entry for each set. Where gamma is null it stands for 1, beta for 0.
template <class T>
struct NormalizationTerms {
  /// Of sets of `elements` values x, from the sums of x - shift and of (x - shift)^2.
  void (*moments)(Index sets, Index elements, const T* shift, const double* sum, const double* squares,
                  double* mean, double* variance);
  /// What Coefficients calls center, scale and offset, for y = gamma (x - mean) inv_std + beta.
  void (*coefficients)(Index sets, const double* mean, const double* inv_std, const T* gamma, const T* beta,
                       T* center, T* scale, T* offset);
  /// slope and intercept, of statistics that depend on x, from the sums of g and of g (x - center); the
  /// latter become sums of g xhat.
  void (*pull)(Index sets, Index elements, const double* mean, const double* inv_std, const T* gamma,
               const double* sum_g, double* sum_g_x, T* slope, T* intercept);
};

}  // namespace strata::kernels
