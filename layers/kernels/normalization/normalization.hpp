// What the normalizing layers share: y = gamma (x - mean) / sqrt(variance + eps) + beta, where mean and
// variance are taken over a set of elements.
#pragma once

#include <functional>
#include <vector>

#include "strata/framework/tensor.hpp"

namespace strata::normalization {

/// How x, seen as (N, C, L), falls into sets that share a mean and a variance. gamma and beta belong to
/// channels. A run is the L consecutive elements of one sample and channel; run n * C + c starts at
/// (n * C + c) * L.
struct Sets {
  Index samples;      ///< N
  Index channels;     ///< C
  Index length;       ///< L
  Index count;        ///< sets
  Index runs;         ///< of a set
  Index first_step;   ///< the first run of set s is s * first_step
  bool over_samples;  ///< a set spans all samples of one channel

  Index elements() const { return runs * length; }  ///< m, of a set
};

/// One set a channel, over N and L: batch normalization. Set c is channel c.
Sets per_channel(const Shape& x);
/// One set for each sample and each of `groups` groups of channels, over C / groups and L; instance
/// normalization is groups = C. Set n * groups + g.
Sets per_group(const Shape& x, Index groups);

/// The biased mean and variance of every set, in double: a float cannot hold a mean of 1e4 to a millionth of
/// a standard deviation of 1.
struct Statistics {
  std::vector<double> mean;
  std::vector<double> variance;
};

/// The parameters, one a channel. Both null stand for gamma = 1 and beta = 0.
template <class T>
struct Affine {
  const T* gamma = nullptr;
  const T* beta = nullptr;
};

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
