// With xhat = (x - mean) / sqrt(variance + eps), inv_std = 1 / sqrt(variance + eps) and y = gamma xhat +
// beta:
//
//   dbeta = sum dy                 over all elements of the channel
//   dgamma = sum dy xhat
//   dx = inv_std (g - mean(g) - xhat mean(g xhat)),  g = gamma dy, means over the m elements of the set
//
// because d mean / dx_i = 1 / m and d variance / dx_i = 2 (x_i - mean) / m. Statistics that are frozen do not
// depend on x: dx = inv_std g.
//
// A set that fits the L2 cache is read from memory once: its statistics are taken and used by the same
// thread. Sets too large or too few for that are cut into units of work; there the statistics of all sets
// come first. Each choice depends on the sizes alone.
#include "strata/layers/normalization.hpp"

#include <cmath>

#include "strata/framework/instruction_set.hpp"
#include "strata/framework/parallel.hpp"
#include "strata/layers/kernels/normalization.hpp"

namespace strata::normalization {
namespace {

using kernels::Moments;
using kernels::Runs;

constexpr Index kPiece = Index{1} << 16;      // elements worth a thread
constexpr Index kCachedSet = Index{1} << 18;  // elements of a set that stays in L2
constexpr Index kSmallSet = Index{1} << 15;   // not worth cutting up
constexpr Index kShortRun = 16;               // below this a run does not fill a vector

template <class T>
using Values = std::vector<T, RecyclingAllocator<T>>;

Index divide_up(Index a, Index b) {
  return (a + b - 1) / b;
}

/// A mean that is split so that (x - center) - low keeps all digits, and what follows from the variance.
template <class T>
struct Normalizer {
  Normalizer(const Statistics& statistics, Index set, double eps)
      : center(static_cast<T>(statistics.mean[set])),
        low(statistics.mean[set] - static_cast<double>(center)),
        inv_std(1 / std::sqrt(statistics.variance[set] + eps)) {}

  // y = (x - center) scale(c) + offset(c)
  double scale(const T* gamma, Index c) const {
    return gamma ? inv_std * static_cast<double>(gamma[c]) : inv_std;
  }
  double offset(Affine<T> affine, Index c) const {
    return (affine.beta ? static_cast<double>(affine.beta[c]) : 0) - low * scale(affine.gamma, c);
  }

  T center;
  double low;
  double inv_std;
};

/// dx = inv_std g + slope (x - center) + offset; from sum g and sum g (x - mean) over the m elements of a
/// set.
template <class T>
struct Pull {
  Pull(const Normalizer<T>& n, double sum_g, double sum_g_x, Index m, bool frozen) {
    if (frozen) return;
    const double factor = n.inv_std / static_cast<double>(m);
    const double b = -factor * n.inv_std * n.inv_std * sum_g_x;
    slope = static_cast<T>(b);
    offset = static_cast<T>(-factor * sum_g - b * n.low);
  }
  T slope = 0;
  T offset = 0;
};

/// A part of x for a thread to work on where sets are cut up.
struct Units {
  explicit Units(const Sets& s)
      : sets(s),
        per_run(divide_up(s.length, kSmallSet)),
        length(divide_up(s.length, per_run)),
        count(s.samples * s.channels * per_run),
        grain(std::max<Index>(1, kPiece / length)) {}

  Index run(Index unit) const { return unit / per_run; }
  Index begin(Index unit) const { return run(unit) * sets.length + unit % per_run * length; }
  Index end(Index unit) const { return std::min(begin(unit) + length, (run(unit) + 1) * sets.length); }

  Runs runs(Index unit) const { return {end(unit) - begin(unit), 1, 0}; }

  const Sets& sets;
  Index per_run;
  Index length;
  Index count;
  Index grain;
};

/// The tensors of one call, and the ways to work through them.
template <class T>
class Work {
 public:
  Work(const Sets& sets, const T* x, Affine<T> affine, double eps, bool frozen)
      : sets_(sets), x_(x), affine_(affine), eps_(eps), frozen_(frozen) {
    // Without gamma the channels of a group do not differ: the whole group is one run.
    if (!sets.over_samples && !affine.gamma)
      sets_ = {sets.samples, sets.channels / sets.runs, sets.elements(), sets.count, 1, 1, 1, false};
  }

  /// Sets the statistics too, unless they are frozen.
  void forward(T* y, Statistics& statistics) const {
    if (by_columns()) return forward_columns(y, statistics);
    if (by_rows()) return forward_rows(y, statistics);
    Values<T> scale(factors()), offset(factors());
    in_units() ? forward_units(y, statistics, scale.data(), offset.data())
               : forward_sets(y, statistics, scale.data(), offset.data());
  }

  void backward(T* dy, const Statistics& statistics, T* dgamma, T* dbeta) const {
    if (by_columns()) return backward_columns(dy, statistics, dgamma, dbeta);
    if (by_rows()) return backward_rows(dy, statistics, dgamma, dbeta);
    Values<T> scale(factors());
    Values<double> sum_dy(factors(), 0.0), sum_dy_x(factors(), 0.0);
    in_units() ? backward_units(dy, statistics, scale.data(), sum_dy.data(), sum_dy_x.data())
               : backward_sets(dy, statistics, scale.data(), sum_dy.data(), sum_dy_x.data());
    if (affine_.gamma) parameter_gradients(statistics, sum_dy.data(), sum_dy_x.data(), dgamma, dbeta);
  }

 private:
  // Runs shorter than a vector: all of a sample is one row; its columns have statistics or factors of their
  // own.
  bool by_columns() const { return sets_.over_samples && sets_.length < kShortRun; }
  bool by_rows() const { return !sets_.over_samples && affine_.gamma && sets_.length < kShortRun; }
  bool in_units() const {
    return sets_.elements() > kCachedSet || (sets_.count < 8 && sets_.elements() > kSmallSet);
  }

  // gamma, and what is computed with it, is the same in a whole set over samples, else in a run.
  Index factors_of_set() const { return sets_.over_samples ? 1 : sets_.runs; }
  Index factors() const { return sets_.count * factors_of_set(); }
  Index factor_step() const { return sets_.over_samples ? 0 : 1; }
  Index factor_of(Index run) const { return sets_.over_samples ? run % sets_.channels : run; }
  Index set_of(Index run) const { return factor_of(run) / factors_of_set(); }
  Index channel_of(Index factor) const { return factor % sets_.channels; }

  Index start(Index set) const { return set * sets_.first_step * sets_.length; }
  Runs runs() const { return {sets_.length, sets_.runs, sets_.run_step * sets_.length}; }
  Index sets_at_once() const { return std::max<Index>(1, kPiece / std::max<Index>(1, sets_.elements())); }

  void set_factors(const Statistics& statistics, Index set, T* scale, T* offset) const {
    const Normalizer<T> n(statistics, set, eps_);
    for (Index f = set * factors_of_set(); f < (set + 1) * factors_of_set(); ++f) {
      scale[f] = static_cast<T>(n.scale(affine_.gamma, channel_of(f)));
      offset[f] = static_cast<T>(n.offset(affine_, channel_of(f)));
    }
  }

  void forward_sets(T* y, Statistics& statistics, T* scale, T* offset) const {
    parallel_ranges(sets_.count, sets_at_once(), [&](Index begin, Index end) {
      for (Index s = begin; s < end; ++s) {
        if (!frozen_) set_statistics(statistics, s, kernel_.moments(x_ + start(s), runs()));
        set_factors(statistics, s, scale, offset);
        const Index f = s * factors_of_set();
        kernel_.normalize(x_ + start(s), y + start(s), runs(), static_cast<T>(statistics.mean[s]), scale + f,
                          offset + f, factor_step());
      }
    });
  }

  void forward_units(T* y, Statistics& statistics, T* scale, T* offset) const {
    const Units units(sets_);
    if (!frozen_) {
      Values<Moments> parts(units.count);
      parallel_ranges(units.count, units.grain, [&](Index begin, Index end) {
        for (Index u = begin; u < end; ++u) parts[u] = kernel_.moments(x_ + units.begin(u), units.runs(u));
      });
      std::vector<Moments> totals(sets_.count);
      for (Index u = 0; u < units.count; ++u) totals[set_of(units.run(u))].add(parts[u]);
      for (Index s = 0; s < sets_.count; ++s) set_statistics(statistics, s, totals[s]);
    }
    for (Index s = 0; s < sets_.count; ++s) set_factors(statistics, s, scale, offset);
    parallel_ranges(units.count, units.grain, [&](Index begin, Index end) {
      for (Index u = begin; u < end; ++u) {
        const Index run = units.run(u), f = factor_of(run);
        kernel_.normalize(x_ + units.begin(u), y + units.begin(u), units.runs(u),
                          static_cast<T>(statistics.mean[set_of(run)]), scale + f, offset + f, 0);
      }
    });
  }

  /// Sets the scales of the set's factors; sum_dy_x holds sum dy (x - center), and then sum dy (x - mean).
  Pull<T> finish_sums(const Statistics& statistics, Index set, T* scale, double* sum_dy,
                      double* sum_dy_x) const {
    const Normalizer<T> n(statistics, set, eps_);
    double sum_g = 0, sum_g_x = 0;
    for (Index f = set * factors_of_set(); f < (set + 1) * factors_of_set(); ++f) {
      scale[f] = static_cast<T>(n.scale(affine_.gamma, channel_of(f)));
      sum_dy_x[f] -= n.low * sum_dy[f];
      const double gamma = affine_.gamma ? static_cast<double>(affine_.gamma[channel_of(f)]) : 1;
      sum_g += gamma * sum_dy[f];
      sum_g_x += gamma * sum_dy_x[f];
    }
    return Pull<T>(n, sum_g, sum_g_x, sets_.elements(), frozen_);
  }

  void backward_sets(T* dy, const Statistics& statistics, T* scale, double* sum_dy, double* sum_dy_x) const {
    parallel_ranges(sets_.count, sets_at_once(), [&](Index begin, Index end) {
      for (Index s = begin; s < end; ++s) {
        const Index f = s * factors_of_set();
        const T* x = x_ + start(s);
        const T center = static_cast<T>(statistics.mean[s]);
        kernel_.gradient_sums(dy + start(s), x, runs(), center, sum_dy + f, sum_dy_x + f, factor_step());
        const Pull<T> pull = finish_sums(statistics, s, scale, sum_dy, sum_dy_x);
        kernel_.gradient(dy + start(s), x, runs(), center, scale + f, factor_step(), pull.slope, pull.offset);
      }
    });
  }

  void backward_units(T* dy, const Statistics& statistics, T* scale, double* sum_dy, double* sum_dy_x) const {
    const Units units(sets_);
    const auto center = [&](Index unit) { return static_cast<T>(statistics.mean[set_of(units.run(unit))]); };
    Values<double> part_dy(units.count, 0.0), part_dy_x(units.count, 0.0);
    parallel_ranges(units.count, units.grain, [&](Index begin, Index end) {
      for (Index u = begin; u < end; ++u)
        kernel_.gradient_sums(dy + units.begin(u), x_ + units.begin(u), units.runs(u), center(u), &part_dy[u],
                              &part_dy_x[u], 0);
    });
    for (Index u = 0; u < units.count; ++u) {
      sum_dy[factor_of(units.run(u))] += part_dy[u];
      sum_dy_x[factor_of(units.run(u))] += part_dy_x[u];
    }
    std::vector<Pull<T>> pulls;
    for (Index s = 0; s < sets_.count; ++s)
      pulls.push_back(finish_sums(statistics, s, scale, sum_dy, sum_dy_x));
    parallel_ranges(units.count, units.grain, [&](Index begin, Index end) {
      for (Index u = begin; u < end; ++u) {
        const Pull<T>& pull = pulls[set_of(units.run(u))];
        kernel_.gradient(dy + units.begin(u), x_ + units.begin(u), units.runs(u), center(u),
                         scale + factor_of(units.run(u)), 0, pull.slope, pull.offset);
      }
    });
  }

  /// dbeta = sum dy and dgamma = sum dy (x - mean) inv_std; sets of single samples add up.
  void parameter_gradients(const Statistics& statistics, const double* sum_dy, const double* sum_dy_x,
                           T* dgamma, T* dbeta) const {
    std::vector<double> gamma_sums(sets_.channels), beta_sums(sets_.channels);
    for (Index f = 0; f < factors(); ++f) {
      const Normalizer<T> n(statistics, f / factors_of_set(), eps_);
      gamma_sums[channel_of(f)] += sum_dy_x[f] * n.inv_std;
      beta_sums[channel_of(f)] += sum_dy[f];
    }
    for (Index c = 0; c < sets_.channels; ++c) {
      dgamma[c] = static_cast<T>(gamma_sums[c]);
      dbeta[c] = static_cast<T>(beta_sums[c]);
    }
  }

  // Columns: c * L + i of the rows of C * L elements, one row a sample.

  /// Runs body(first channel, end) for blocks of channels, at least a cache line wide.
  template <class Body>
  void for_channel_blocks(const Body& body) const {
    const Index width = std::max<Index>(1, sets_.length);
    parallel_ranges(sets_.channels,
                    std::max(divide_up(64, width), kPiece / std::max<Index>(1, sets_.elements())), body);
  }

  void forward_columns(T* y, Statistics& statistics) const {
    const Index length = sets_.length, columns = sets_.channels * length;
    Values<Moments> parts(columns);
    Values<T> center(columns), scale(columns), offset(columns);
    for_channel_blocks([&](Index begin, Index end) {
      const Index first = begin * length, width = (end - begin) * length;
      if (!frozen_) kernel_.column_moments(x_ + first, sets_.samples, width, columns, &parts[first]);
      for (Index c = begin; c < end; ++c) {
        if (!frozen_) {
          Moments total;
          for (Index i = 0; i < length; ++i) total.add(parts[c * length + i]);
          set_statistics(statistics, c, total);
        }
        const Normalizer<T> n(statistics, c, eps_);
        for (Index j = c * length; j < (c + 1) * length; ++j) {
          center[j] = n.center;
          scale[j] = static_cast<T>(n.scale(affine_.gamma, c));
          offset[j] = static_cast<T>(n.offset(affine_, c));
        }
      }
      kernel_.column_normalize(x_ + first, y + first, sets_.samples, width, columns, &center[first],
                               &scale[first], &offset[first]);
    });
  }

  void backward_columns(T* dy, const Statistics& statistics, T* dgamma, T* dbeta) const {
    const Index length = sets_.length, columns = sets_.channels * length;
    Values<double> sum_dy(columns, 0.0), sum_dy_x(columns, 0.0);
    Values<T> center(columns), scale(columns), slope(columns), offset(columns);
    for_channel_blocks([&](Index begin, Index end) {
      const Index first = begin * length, width = (end - begin) * length;
      for (Index j = first; j < first + width; ++j) center[j] = static_cast<T>(statistics.mean[j / length]);
      kernel_.column_gradient_sums(dy + first, x_ + first, sets_.samples, width, columns, &center[first],
                                   &sum_dy[first], &sum_dy_x[first]);
      for (Index c = begin; c < end; ++c) {
        const Normalizer<T> n(statistics, c, eps_);
        double a = 0, b = 0;
        for (Index j = c * length; j < (c + 1) * length; ++j) {
          a += sum_dy[j];
          b += sum_dy_x[j];
        }
        b -= n.low * a;
        const double gamma = affine_.gamma ? static_cast<double>(affine_.gamma[c]) : 1;
        const Pull<T> pull(n, gamma * a, gamma * b, sets_.elements(), frozen_);
        for (Index j = c * length; j < (c + 1) * length; ++j) {
          scale[j] = static_cast<T>(n.scale(affine_.gamma, c));
          slope[j] = pull.slope;
          offset[j] = pull.offset;
        }
        if (affine_.gamma) {
          dgamma[c] = static_cast<T>(b * n.inv_std);
          dbeta[c] = static_cast<T>(a);
        }
      }
      kernel_.column_gradient(dy + first, x_ + first, sets_.samples, width, columns, &center[first],
                              &scale[first], &slope[first], &offset[first]);
    });
  }

  // Rows: a set is one row of runs * L elements, gamma and beta are spread out over their channels' elements.

  Values<T> spread(const T* of_channels) const {
    Values<T> values(sets_.channels * sets_.length);
    for (Index j = 0; j < static_cast<Index>(values.size()); ++j) values[j] = of_channels[j / sets_.length];
    return values;
  }
  Index sets_of_sample() const { return sets_.channels / sets_.runs; }
  Index sample_length() const { return sets_.channels * sets_.length; }

  void forward_rows(T* y, Statistics& statistics) const {
    const Index length = sets_.elements();
    const Values<T> gamma = spread(affine_.gamma), beta = spread(affine_.beta);
    parallel_ranges(sets_.count, sets_at_once(), [&](Index begin, Index end) {
      for (Index s = begin; s < end; ++s) {
        set_statistics(statistics, s, kernel_.moments(x_ + start(s), {length, 1, 0}));
        const Normalizer<T> n(statistics, s, eps_);
        const Index j = s % sets_of_sample() * length;
        kernel_.normalize_row(x_ + start(s), y + start(s), length, n.center, static_cast<T>(n.inv_std),
                              static_cast<T>(-n.low * n.inv_std), &gamma[j], &beta[j]);
      }
    });
  }

  void backward_rows(T* dy, const Statistics& statistics, T* dgamma, T* dbeta) const {
    constexpr Index kSamplesInT = 64;  // whose dgamma is summed in T before it goes to double
    const Index length = sets_.elements(), columns = sample_length();
    const Values<T> gamma = spread(affine_.gamma);
    const Index grain =
        std::max(divide_up(kPiece, std::max<Index>(1, columns)), divide_up(sets_.samples, 16));
    const Index blocks = divide_up(sets_.samples, grain);
    Values<double> gamma_sums(blocks * columns, 0.0), beta_sums(blocks * columns, 0.0);
    parallel_ranges(sets_.samples, grain, [&](Index first, Index last) {
      Values<T> gamma_part(columns, T{0}), beta_part(columns, T{0});
      for (Index sample = first; sample < last; ++sample) {
        for (Index s = sample * sets_of_sample(); s < (sample + 1) * sets_of_sample(); ++s)
          backward_row(dy + start(s), statistics, s, gamma, gamma_part, beta_part, length);
        if ((sample + 1 - first) % kSamplesInT != 0 && sample + 1 != last) continue;
        for (Index j = 0; j < columns; ++j) {
          gamma_sums[first / grain * columns + j] += static_cast<double>(gamma_part[j]);
          beta_sums[first / grain * columns + j] += static_cast<double>(beta_part[j]);
          gamma_part[j] = beta_part[j] = 0;
        }
      }
    });
    for (Index c = 0; c < sets_.channels; ++c) {
      double a = 0, b = 0;
      for (Index block = 0; block < blocks; ++block)
        for (Index i = 0; i < sets_.length; ++i) {
          a += gamma_sums[block * columns + c * sets_.length + i];
          b += beta_sums[block * columns + c * sets_.length + i];
        }
      dgamma[c] = static_cast<T>(a);
      dbeta[c] = static_cast<T>(b);
    }
  }

  void backward_row(T* dy, const Statistics& statistics, Index s, const Values<T>& gamma, Values<T>& dgamma,
                    Values<T>& dbeta, Index length) const {
    const Normalizer<T> n(statistics, s, eps_);
    const Index j = s % sets_of_sample() * length;
    double sum_g = 0, sum_g_x = 0;
    kernel_.gradient_sums_row(dy, x_ + start(s), length, n.center, &gamma[j], &sum_g, &sum_g_x);
    const Pull<T> pull(n, sum_g, sum_g_x - n.low * sum_g, length, frozen_);
    kernel_.gradient_row(dy, x_ + start(s), length, n.center, static_cast<T>(n.inv_std),
                         static_cast<T>(-n.low * n.inv_std), &gamma[j], pull.slope, pull.offset, &dgamma[j],
                         &dbeta[j]);
  }

  static void set_statistics(Statistics& statistics, Index set, const Moments& moments) {
    statistics.mean[set] = moments.mean;
    statistics.variance[set] = moments.m2 / static_cast<double>(moments.count);
  }

  Sets sets_;
  const T* x_;
  Affine<T> affine_;
  double eps_;
  bool frozen_;
  const kernels::Normalization<T>& kernel_ = kernels::table<kernels::Normalization<T>>();
};

/// x as (N, C, L).
struct Extents {
  explicit Extents(const Shape& x) : samples(static_cast<Index>(x[0])), channels(static_cast<Index>(x[1])) {
    for (std::size_t axis = 2; axis < x.size(); ++axis) length *= static_cast<Index>(x[axis]);
  }
  Index samples, channels, length = 1;
};

}  // namespace

Sets per_channel(const Shape& x) {
  const Extents e(x);
  return {e.samples, e.channels, e.length, e.channels, e.samples, 1, e.channels, true};
}

Sets per_group(const Shape& x, Index groups) {
  const Extents e(x);
  const Index runs = e.channels / groups;
  return {e.samples, e.channels, e.length, e.samples * groups, runs, runs, 1, false};
}

template <class T>
Statistics forward(const Sets& sets, const T* x, T* y, Affine<T> affine, double eps) {
  Statistics statistics{std::vector<double>(sets.count), std::vector<double>(sets.count)};
  Work<T>(sets, x, affine, eps, /*frozen=*/false).forward(y, statistics);
  return statistics;
}

template <class T>
void apply(const Sets& sets, const T* x, T* y, Statistics statistics, Affine<T> affine, double eps) {
  Work<T>(sets, x, affine, eps, /*frozen=*/true).forward(y, statistics);
}

template <class T>
void backward(const Sets& sets, const T* x, T* dy, const Statistics& statistics, const T* gamma, T* dgamma,
              T* dbeta, double eps, bool frozen) {
  Work<T>(sets, x, {gamma, nullptr}, eps, frozen).backward(dy, statistics, dgamma, dbeta);
}

#define STRATA_INSTANTIATE(T)                                                       \
  template Statistics forward<T>(const Sets&, const T*, T*, Affine<T>, double);     \
  template void apply<T>(const Sets&, const T*, T*, Statistics, Affine<T>, double); \
  template void backward<T>(const Sets&, const T*, T*, const Statistics&, const T*, T*, T*, double, bool)

STRATA_INSTANTIATE(float);
STRATA_INSTANTIATE(double);

}  // namespace strata::normalization
