// Normalization on raw memory: the passes over contiguous runs of elements (a plane of an image), over a row
// and over columns; with the rectifier that often follows.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// Number, mean and sum of squared deviations of some values.
struct Moments {
  Index count = 0;
  double mean = 0;
  double m2 = 0;

  /// Takes in other values (Chan, Golub, LeVeque 1979): nothing cancels.
  void add(const Moments& other) {
    if (other.count == 0) return;
    const Index total = count + other.count;
    const double delta = other.mean - mean,
                 share = static_cast<double>(other.count) / static_cast<double>(total);
    mean += delta * share;
    m2 += other.m2 + delta * delta * share * static_cast<double>(count);
    count = total;
  }
};

/// m2 as a difference of sums gives it: not below 0, where rounding takes it, and NaN if a sum has
/// overflowed, so that it is found; NaN stays NaN. (Always inlined: kernels must not share functions.)
[[gnu::always_inline]] constexpr double settled(double m2) {
  return (m2 < 0 ? 0 : m2) + 0 * m2;
}

constexpr Index kChunk = 1024;  // elements whose sums are taken in T before they go to double

/// A part of x: `images` times `channels` runs of `length` elements, those of an image side by side. Runs of
/// length 1 are columns of a matrix, whose rows follow each other.
struct PlaneBlock {
  Index images;
  Index channels;
  Index length;
  Index stride = channels * length;  ///< from one image to the next, in elements
  Index together = images;           ///< images whose sums may be taken in T
};

/// What is done to the elements of channel c (or of column c): with d = x - center[c] and y = d scale[c] +
/// offset[c],
///
///   forward   y, or max(y, 0) if `rectify`
///   backward  dx = g scale[c] + d slope[c] + intercept[c], where g = dy, or 0 where y <= 0 if `rectify`
///
/// x - center loses nothing where x is near its mean, so that a large mean costs no accuracy.
template <class T>
struct Coefficients {
  const T* center;
  const T* scale;
  const T* offset;
  const T* slope;
  const T* intercept;
  bool rectify;
};

/// What a pass of backward reads.
template <class T>
struct GradientPass {
  const T* dy;
  const T* x;
  Coefficients<T> coefficients;
};

/// One row of x, whose factors differ by element: with d = x - center, xhat = d inv_std + shift and y = xhat
/// gamma + beta, forward and `rectify` as above; dx = g gamma inv_std + d slope + intercept.
template <class T>
struct Row {
  Index length;
  T center;
  T inv_std;
  T shift;
  const T* gamma;
  const T* beta;
  T slope;
  T intercept;
  bool rectify;
};

/// The passes. Sums over elements are taken in T over some thousand elements at most, then in double. y may
/// be x, and dx may be x or dy.
template <class T>
struct Normalization {
  /// mean[c] = the mean of the first `count` elements of each of the channel's runs.
  void (*pilot)(const T* x, PlaneBlock block, Index count, T* mean);
  /// sum[c] = sum (x - shift[c]) and squares[c] = sum (x - shift[c])^2.
  void (*sums)(const T* x, PlaneBlock block, const T* shift, double* sum, double* squares);
  /// inv_std = 1 / sqrt(variance + eps).
  void (*inverse_roots)(const double* variance, double eps, Index count, double* inv_std);
  void (*normalize)(const T* x, T* y, PlaneBlock block, const Coefficients<T>& coefficients);
  /// sum_g[c] = sum g and sum_g_x[c] = sum g (x - center[c]).
  void (*gradient_sums)(const T* dy, const T* x, PlaneBlock block, const Coefficients<T>& coefficients,
                        double* sum_g, double* sum_g_x);
  void (*gradient)(const T* dy, const T* x, T* dx, PlaneBlock block, const Coefficients<T>& coefficients);
  /// gradient() of one block and gradient_sums() of another, `block` being the shape of both: while the one
  /// comes from L2, the other comes from afar. Runs are whole vectors of any instruction set.
  void (*gradient_beside_sums)(const GradientPass<T>& gradient, T* dx, const GradientPass<T>& sums,
                               PlaneBlock block, double* sum_g, double* sum_g_x);

  /// A shift near the mean of the elements of a row, and sums as above.
  void (*row_sums)(const T* x, Index length, T* shift, double* sum, double* squares);
  void (*normalize_row)(const T* x, T* y, const Row<T>& row);
  /// *sum_g = sum g gamma and *sum_g_x = sum g gamma (x - center).
  void (*gradient_sums_row)(const T* dy, const T* x, const Row<T>& row, double* sum_g, double* sum_g_x);
  /// dx; dgamma += g xhat and dbeta += g.
  void (*gradient_row)(const T* dy, const T* x, T* dx, const Row<T>& row, T* dgamma, T* dbeta);
};

}  // namespace strata::kernels
