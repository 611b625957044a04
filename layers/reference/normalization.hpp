// Normalization from its formula: what BatchNorm1D, SpatialBatchNorm, InstanceNorm2D, GroupNorm and LayerNorm
// compute. Read it beside the layer's header.
//
// The layers differ in one thing only: which elements of x share a mean and a variance. Such a set has m
// elements; with sums over them,
//
//   mean = sum x / m                                 `statistics`
//   var  = sum (x - mean)^2 / m
//   xhat = (x - mean) / sqrt(var + eps)              `normalize`
//   y    = gamma[c] xhat + beta[c],                  c the channel of the element
//
// Backward. Let dy = dL/dy be given, and write g = dL/dxhat = gamma dy and s = 1 / sqrt(var + eps), so that
// xhat = s (x - mean). The parameters multiply and shift, so their gradients are sums over all elements of
// their channel, whatever the set:
//
//   dbeta[c]  = sum dy
//   dgamma[c] = sum dy xhat
//
// x_i reaches the loss by three ways, and dx_i adds them up:
//
//   by its own xhat_i, mean and var held fast:
//     d xhat_i / dx_i = s                                     s g_i
//   by the mean, which moves every xhat_j of the set:
//     d mean / dx_i = 1 / m,  d xhat_j / d mean = -s          -s sum(g) / m
//   by the variance, which stretches every xhat_j:
//     d var / dx_i = 2 (x_i - mean) / m = 2 xhat_i / (s m)
//     d xhat_j / d var = (x_j - mean) (-s^3 / 2)
//                      = -xhat_j s^2 / 2                      -s xhat_i sum(g xhat) / m
//
// (That the mean moves the variance, too, counts for nothing: d var / d mean = -2 sum (x - mean) / m = 0.)
//
// Together, with means over the set,
//
//   dx_i = s (g_i - mean(g) - xhat_i mean(g xhat)).
//
// In words: from g is taken what points along (1, …, 1) and what points along xhat. It has to be so, because
// y does not change when a constant is added to the set or (but for eps) when it is stretched, so the
// gradient has nothing to say in these two directions.
//
// Frozen statistics (running averages, in evaluation) do not depend on x. Its own way is the only one:
// dx_i = s g_i.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "strata/framework/tensor.hpp"
#include "strata/layers/reference/accumulator.hpp"

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

namespace detail {
/// The product of the extents from axis 2 on: L.
inline Index run_length(const Shape& x) {
  Index length = 1;
  for (std::size_t axis = 2; axis < x.size(); ++axis) length *= static_cast<Index>(x[axis]);
  return length;
}
}  // namespace detail

/// One set a channel, over N and L: batch normalization. Set c is channel c.
inline Sets per_channel(const Shape& x) {
  const auto samples = static_cast<Index>(x[0]), channels = static_cast<Index>(x[1]);
  return {.samples = samples,
          .channels = channels,
          .length = detail::run_length(x),
          .count = channels,
          .runs = samples,
          .first_step = 1,
          .over_samples = true};
}

/// One set for each sample and each of `groups` groups of channels, over C / groups and L; instance
/// normalization is groups = C. Set n * groups + g.
///
/// Layer normalization of slices of m elements, each with a gamma of its own, is x seen as (slices, m) with
/// one group.
inline Sets per_group(const Shape& x, Index groups) {
  const auto samples = static_cast<Index>(x[0]), channels = static_cast<Index>(x[1]);
  const Index channels_of_group = channels / groups;
  return {.samples = samples,
          .channels = channels,
          .length = detail::run_length(x),
          .count = samples * groups,
          .runs = channels_of_group,
          .first_step = channels_of_group,
          .over_samples = false};
}

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

}  // namespace strata::normalization

namespace strata::reference {

/// Calls visit(i, c) for every element x[i] of a set, where c is its channel.
template <class Visit>
void for_each_element(const normalization::Sets& sets, Index set, const Visit& visit) {
  // The runs of one channel lie C runs apart, one in each sample; those of a group are neighbors.
  const Index step = sets.over_samples ? sets.channels : 1;
  for (Index r = 0; r < sets.runs; ++r) {
    const Index run = set * sets.first_step + r * step;
    for (Index l = 0; l < sets.length; ++l) visit(run * sets.length + l, run % sets.channels);
  }
}

/// The mean and the biased variance of every set.
template <class T>
normalization::Statistics statistics(const normalization::Sets& sets, const T* x) {
  using Sum = Accumulator<T>;
  const auto m = static_cast<Sum>(sets.elements());
  normalization::Statistics result;
  for (Index set = 0; set < sets.count; ++set) {
    // mean = sum x / m, counted from the first value as origin: a sum of large values would round, and a set
    // of equal values must have exactly that value as its mean.
    const auto origin = static_cast<Sum>(x[set * sets.first_step * sets.length]);
    Sum sum = 0;
    for_each_element(sets, set, [&](Index i, Index) { sum += static_cast<Sum>(x[i]) - origin; });
    const Sum mean = origin + sum / m;

    // var = sum (x - mean)^2 / m. Two passes: the shorter sum x^2 / m - mean^2 takes the difference of two
    // large numbers where |mean| is much larger than the standard deviation, and nothing is left of it.
    Sum squares = 0;
    for_each_element(sets, set, [&](Index i, Index) {
      const Sum deviation = static_cast<Sum>(x[i]) - mean;
      squares += deviation * deviation;
    });
    result.mean.push_back(static_cast<double>(mean));
    result.variance.push_back(static_cast<double>(squares / m));
  }
  return result;
}

/// y = gamma xhat + beta, by the statistics of x or by given ones. y may be x.
template <class T>
void normalize(const normalization::Sets& sets, const T* x, const normalization::Statistics& statistics,
               normalization::Affine<T> affine, double eps, T* y) {
  using Sum = Accumulator<T>;
  for (Index set = 0; set < sets.count; ++set) {
    const Sum mean = statistics.mean.data()[set];
    const Sum variance = statistics.variance.data()[set];
    const Sum inv_std = 1 / std::sqrt(variance + static_cast<Sum>(eps));
    for_each_element(sets, set, [&](Index i, Index c) {
      const Sum xhat = (static_cast<Sum>(x[i]) - mean) * inv_std;
      const Sum gamma = affine.gamma ? static_cast<Sum>(affine.gamma[c]) : 1;
      const Sum beta = affine.beta ? static_cast<Sum>(affine.beta[c]) : 0;
      y[i] = static_cast<T>(gamma * xhat + beta);
    });
  }
}

/// dx, dgamma and dbeta from dy, with the statistics that normalized x; all three are overwritten. `frozen`:
/// the statistics were given, and do not depend on x. dx may be dy or x; dgamma and dbeta are null without
/// gamma and beta.
template <class T>
void normalize_backward(const normalization::Sets& sets, const T* x, const T* dy,
                        const normalization::Statistics& statistics, normalization::Affine<T> affine,
                        double eps, bool frozen, T* dx, T* dgamma, T* dbeta) {
  using Sum = Accumulator<T>;
  const auto m = static_cast<Sum>(sets.elements());
  Sums<Sum> sum_dy(sets.channels), sum_dy_xhat(sets.channels);
  for (Index set = 0; set < sets.count; ++set) {
    const Sum mean = statistics.mean.data()[set];
    const Sum variance = statistics.variance.data()[set];
    const Sum inv_std = 1 / std::sqrt(variance + static_cast<Sum>(eps));
    const auto xhat = [&](Index i) { return (static_cast<Sum>(x[i]) - mean) * inv_std; };
    // g = dL/dxhat = gamma dy
    const auto g = [&](Index i, Index c) {
      return (affine.gamma ? static_cast<Sum>(affine.gamma[c]) : 1) * static_cast<Sum>(dy[i]);
    };

    // The sums over the set that dx needs, and this set's share of the sums over the channels.
    Sum sum_g = 0, sum_g_xhat = 0;
    for_each_element(sets, set, [&](Index i, Index c) {
      sum_g += g(i, c);
      sum_g_xhat += g(i, c) * xhat(i);
      sum_dy[c] += static_cast<Sum>(dy[i]);                 // dbeta = sum dy
      sum_dy_xhat[c] += static_cast<Sum>(dy[i]) * xhat(i);  // dgamma = sum dy xhat
    });

    // The ways through the mean and the variance are closed if these are constants.
    const Sum mean_g = frozen ? 0 : sum_g / m;
    const Sum mean_g_xhat = frozen ? 0 : sum_g_xhat / m;
    // dx = (g - mean(g) - xhat mean(g xhat)) / sqrt(var + eps)
    for_each_element(sets, set, [&](Index i, Index c) {
      dx[i] = static_cast<T>(inv_std * (g(i, c) - mean_g - xhat(i) * mean_g_xhat));
    });
  }
  for (Index c = 0; dgamma && c < sets.channels; ++c) {
    dgamma[c] = static_cast<T>(sum_dy_xhat[c]);
    dbeta[c] = static_cast<T>(sum_dy[c]);
  }
}

/// The weight of a new batch, batch number `num_batches` from 1 on, in a running average: the momentum, or
/// without one that of the cumulative average, in which all batches so far weigh the same, though never less
/// than `minimum_factor`.
inline double weight_of_batch(std::optional<double> momentum, double minimum_factor,
                              std::int64_t num_batches) {
  return momentum ? *momentum : std::max(1 / static_cast<double>(num_batches), minimum_factor);
}

/// What a biased variance is multiplied by to be the unbiased one: m / (m - 1). Deviations from the batch's
/// own mean are a little smaller than those from the true one; this is by how much, on average.
inline double unbiased_correction(const normalization::Sets& sets) {
  const auto m = static_cast<double>(sets.elements());
  return m / (m - 1);
}

/// Takes a batch into the running averages, one a channel: r = (1 - weight) r + weight batch. Where there are
/// sets for each sample (set n * channels + c), the batch's value of a channel is their average.
/// `correction`: 1, or unbiased_correction if the running variance is to be the unbiased one.
template <class T>
void update_running_statistics(const normalization::Statistics& batch, double weight, double correction,
                               Index channels, T* running_mean, T* running_variance) {
  using Sum = Accumulator<T>;
  const Index samples = static_cast<Index>(batch.mean.size()) / channels;
  for (Index c = 0; c < channels; ++c) {
    Sum mean = 0, variance = 0;
    for (Index n = 0; n < samples; ++n) {
      mean += batch.mean[n * channels + c] / static_cast<Sum>(samples);
      variance += batch.variance[n * channels + c] / static_cast<Sum>(samples);
    }
    running_mean[c] = static_cast<T>((1 - weight) * static_cast<Sum>(running_mean[c]) + weight * mean);
    running_variance[c] =
        static_cast<T>((1 - weight) * static_cast<Sum>(running_variance[c]) + weight * correction * variance);
  }
}

}  // namespace strata::reference
