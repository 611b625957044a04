// What the normalizing layers share: y = gamma (x - mean) / sqrt(variance + eps) + beta, where mean and
// variance are taken over a set of elements.
#pragma once

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
  Index run_step;     ///< from one run of a set to the next
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

/// Normalizes x by its own statistics, which it returns. y may be x.
template <class T>
Statistics forward(const Sets& sets, const T* x, T* y, Affine<T> affine, double eps);

/// Normalizes by given statistics; sets over samples. y may be x.
template <class T>
void apply(const Sets& sets, const T* x, T* y, Statistics statistics, Affine<T> affine, double eps);

/// Replaces dy by dx and writes dgamma and dbeta unless gamma is null. `frozen`: the statistics were given,
/// and do not depend on x.
template <class T>
void backward(const Sets& sets, const T* x, T* dy, const Statistics& statistics, const T* gamma, T* dgamma,
              T* dbeta, double eps, bool frozen);

}  // namespace strata::normalization
