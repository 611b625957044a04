// Normalization on raw memory: the passes over contiguous runs of elements (a plane of an image, a row) that
// share a mean, and over columns that each have their own.
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

/// Some runs of `length` consecutive elements, `stride` apart.
struct Runs {
  Index length;
  Index count;
  Index stride;
};

/// The passes. Sums over elements are taken in T over some thousand elements at most, then in double. x -
/// center loses nothing where x is near its mean, so that a large mean costs no accuracy.
template <class T>
struct Normalization {
  /// The moments of all runs together.
  Moments (*moments)(const T* x, Runs runs);
  /// y = (x - center) scale + offset. Run i takes scale[i * step] and offset[i * step]. y may be x.
  void (*normalize)(const T* x, T* y, Runs runs, T center, const T* scale, const T* offset, Index step);
  /// sum_dy[i * step] += sum dy and sum_dy_x[i * step] += sum dy (x - center), over run i.
  void (*gradient_sums)(const T* dy, const T* x, Runs runs, T center, double* sum_dy, double* sum_dy_x,
                        Index step);
  /// dy = dy scale[i * step] + (x - center) slope + offset.
  void (*gradient)(T* dy, const T* x, Runs runs, T center, const T* scale, Index step, T slope, T offset);

  /// One row with factors that differ by element: y = ((x - center) inv_std + shift) gamma + beta.
  void (*normalize_row)(const T* x, T* y, Index length, T center, T inv_std, T shift, const T* gamma,
                        const T* beta);
  /// Adds sum dy gamma and sum dy gamma (x - center).
  void (*gradient_sums_row)(const T* dy, const T* x, Index length, T center, const T* gamma, double* sum_dy,
                            double* sum_dy_x);
  /// With xhat = (x - center) inv_std + shift: dgamma += dy xhat, dbeta += dy, then
  /// dy = dy gamma inv_std + (x - center) slope + offset.
  void (*gradient_row)(T* dy, const T* x, Index length, T center, T inv_std, T shift, const T* gamma, T slope,
                       T offset, T* dgamma, T* dbeta);

  /// Moments of each of `columns` columns over `rows` rows that are `stride` apart.
  void (*column_moments)(const T* x, Index rows, Index columns, Index stride, Moments* moments);
  /// y = (x - center[j]) scale[j] + offset[j]. y may be x.
  void (*column_normalize)(const T* x, T* y, Index rows, Index columns, Index stride, const T* center,
                           const T* scale, const T* offset);
  /// Adds sum dy and sum dy (x - center[j]) over the rows.
  void (*column_gradient_sums)(const T* dy, const T* x, Index rows, Index columns, Index stride,
                               const T* center, double* sum_dy, double* sum_dy_x);
  /// dy = dy scale[j] + (x - center[j]) slope[j] + offset[j].
  void (*column_gradient)(T* dy, const T* x, Index rows, Index columns, Index stride, const T* center,
                          const T* scale, const T* slope, const T* offset);
};

}  // namespace strata::kernels
