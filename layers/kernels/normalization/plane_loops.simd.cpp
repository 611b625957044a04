// The inner loops of planes. Over those of pieces: moments, coefficients and results of a plane in one call,
// while it lies in the first cache.
#include "strata/layers/kernels/normalization/plane_loops.hpp"

#include <cmath>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/normalization/loops.hpp"

namespace strata::kernels {
namespace {

constexpr Index kPilotShare = 8;  // an eighth of a set gives a first idea of its mean, and costs little
constexpr Index kLeastPilot = 16;

struct Sums {
  double first = 0;
  double second = 0;
};

/// What add(offset, runs, two results) adds up over a run, kChunk elements at most at a time.
template <class Add>
Sums sums_of(Index length, const Add& add) {
  Sums sums;
  for (Index i = 0; i < length; i += kChunk)
    add(i, Runs{smaller(kChunk, length - i), 1, 0}, &sums.first, &sums.second);
  return sums;
}

/// What normalizing a set takes, from its mean and variance.
template <class T>
struct Plane {
  Plane(const PlaneSets<T>& planes, Index channel, double mean, double variance)
      : inv_std(1 / std::sqrt(variance + planes.eps)),
        gamma(planes.gamma ? static_cast<double>(planes.gamma[channel]) : 1) {
    const double scale = inv_std * gamma, beta = planes.beta ? static_cast<double>(planes.beta[channel]) : 0;
    factors.center = static_cast<T>(mean);
    low = mean - static_cast<double>(factors.center);
    factors.scale = static_cast<T>(scale);
    factors.offset = static_cast<T>(beta - low * scale);
  }

  /// From sum g and sum g (x - center), of statistics that depend on x; returns sum g xhat.
  double set_pull(const Sums& sums, Index length) {
    const double factor = inv_std * gamma / static_cast<double>(length);
    const double sum_g_d = sums.second - low * sums.first;  // d = x - mean
    const double by_d = -factor * inv_std * inv_std * sum_g_d;
    factors.slope = static_cast<T>(by_d);
    factors.intercept = static_cast<T>(-factor * sums.first - by_d * low);
    return sum_g_d * inv_std;
  }

  double inv_std;
  double gamma;
  double low;  // of the mean, beside the center
  Factors<T> factors;
};

/// body(set, channel) for all sets.
template <class T, class Body>
void for_each_plane(const PlaneSets<T>& planes, const Body& body) {
  Index channel = planes.first_channel;
  for (Index s = 0; s < planes.count; ++s) {
    body(s, channel);
    if (++channel == planes.channels) channel = 0;
  }
}

template <class T>
T pilot_mean(const T* x, Index length) {
  const Index count = smaller(length, larger(kLeastPilot, length / kPilotShare));
  const T first = *x;
  const Sums sums = sums_of(count, [=](Index i, const Runs& runs, double* sum, double* unused) {
    sum_pairs<T>(runs, sum, unused,
                 [=]<class V>(Index j, V& a, V&) { a += load(x + i + j, V()) - V(first); });
  });
  return first + static_cast<T>(sums.first / static_cast<double>(count));
}

template <class T>
void forward(const PlaneSets<T>& planes, T* y, double* mean, double* variance) {
  const Index length = planes.length;
  const double share = 1 / static_cast<double>(length);
  const auto prepare = [&](Index s, Index channel) {
    const T* x = planes.x + s * length;
    const T shift = pilot_mean(x, length);
    const Sums sums = sums_of(length, [=](Index i, const Runs& runs, double* sum, double* squares) {
      shifted_sums(x + i, runs, shift, sum, squares);
    });
    const double m2 = sums.second - sums.first * (sums.first * share);
    mean[s] = static_cast<double>(shift) + sums.first * share;
    variance[s] = settled(m2) * share;
    return Plane<T>(planes, channel, mean[s], variance[s]);
  };
  with_activation(planes.rectify, [&]<bool kRectify>(std::bool_constant<kRectify>) {
    for_each_plane(planes, [&](Index s, Index channel) {
      const Plane<T> plane = prepare(s, channel);
      normalize_run<kRectify>(planes.x + s * length, y + s * length, length, plane.factors);
    });
  });
}

template <class T>
void backward(const PlaneSets<T>& planes, const T* dy, T* dx, const double* mean, const double* variance,
              double* sum_g, double* sum_g_xhat) {
  const Index length = planes.length;
  with_activation(planes.rectify, [&]<bool kRectify>(std::bool_constant<kRectify>) {
    const auto prepare = [&](Index s, Index channel) {
      const Index at = s * length;
      Plane<T> plane(planes, channel, mean[s], variance[s]);
      const Sums sums = sums_of(length, [&](Index i, const Runs& runs, double* first, double* second) {
        gradient_sums_of<kRectify>(dy + at + i, planes.x + at + i, runs, plane.factors, first, second);
      });
      sum_g[s] = sums.first;
      sum_g_xhat[s] = plane.set_pull(sums, length);
      return plane;
    };
    for_each_plane(planes, [&](Index s, Index channel) {
      const Plane<T> plane = prepare(s, channel);
      const Index at = s * length;
      gradient_run<kRectify>(dy + at, planes.x + at, dx + at, length, plane.factors);
    });
  });
}

template <class T>
constexpr PlaneNormalization<T> kTable{forward<T>, backward<T>};

}  // namespace

STRATA_KERNEL_TABLE(kTable<float>);
STRATA_KERNEL_TABLE(kTable<double>);

}  // namespace strata::kernels
