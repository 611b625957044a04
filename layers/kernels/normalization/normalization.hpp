// What the normalizing layers share: y = gamma (x - mean) / sqrt(variance + eps) + beta, where mean and
// variance are taken over a set of elements.
#pragma once

#include <functional>

#include "strata/layers/reference/normalization.hpp"

namespace strata::normalization {

/// Where y goes. A plane is a run; planes are counted through all samples.
template <class T>
struct Output {
  T* y = nullptr;        ///< may be x
  bool rectify = false;  ///< max(y, 0) instead of y
  /// If given, takes some planes of y, which are not kept: y above is not used. Called from several threads
  /// at once.
  std::function<void(Index first_plane, Index planes, const T* y)> pool = nullptr;
};

/// Where dy comes from and dx goes to; `rectify` as in forward.
template <class T>
struct Gradient {
  const T* dy = nullptr;
  T* dx = nullptr;  ///< may be dy or x
  bool rectify = false;
  /// If given, writes some planes of dy; dy above is not used. Called from several threads at once.
  std::function<void(Index first_plane, Index planes, T* dy)> unpool = nullptr;
};

/// Normalizes x by its own statistics, which it returns.
template <class T>
Statistics forward(const Sets& sets, const T* x, const Output<T>& output, Affine<T> affine, double eps);

/// Normalizes by given statistics.
template <class T>
void apply(const Sets& sets, const T* x, const Output<T>& output, const Statistics& statistics,
           Affine<T> affine, double eps);

/// Computes dx, and dgamma and dbeta unless gamma is null. `frozen`: the statistics were given, and do not
/// depend on x.
template <class T>
void backward(const Sets& sets, const T* x, const Gradient<T>& gradient, const Statistics& statistics,
              Affine<T> affine, T* dgamma, T* dbeta, double eps, bool frozen);

}  // namespace strata::normalization
