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
// With a rectifier behind y, dy above is g, which is dy where y > 0 and else 0: y is computed again, which is
// cheaper than to keep it.
//
// x is worked through in the order of memory, in pieces that fit the L2 cache. Where every set lies within a
// piece, its statistics are taken and used at once; else the sums of all pieces come first. How x is cut
// depends on the sizes alone.
#include "strata/layers/normalization.hpp"

#include <algorithm>
#include <numeric>

#include "strata/framework/instruction_set.hpp"
#include "strata/framework/parallel.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/normalization.hpp"
#include "strata/layers/kernels/scratch.hpp"
#include "strata/layers/normalization_pieces.hpp"

namespace strata::normalization {
namespace {

using kernels::Coefficients;
using kernels::Moments;
using kernels::PlaneBlock;

constexpr Index kPilot = 1024;       // elements of a run that give a first idea of its mean
constexpr Index kPilotRows = 16;     // the same, of a column
constexpr Index kSetsAtOnce = 1024;  // whose statistics are worth a thread
constexpr Index kShortRun = 16;      // below this a run does not fill a vector

template <class T>
using Values = std::vector<T, RecyclingAllocator<T>>;

/// A mean that is split so that (x - center) - low keeps all digits, and what follows from the variance.
template <class T>
struct Normalizer {
  Normalizer(double mean, double inverse_root)
      : center(static_cast<T>(mean)), low(mean - static_cast<double>(center)), inv_std(inverse_root) {}

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

// Sums of x - shift are good enough if the shift is near the mean: sum (x - shift)^2 exceeds m2 by n (mean -
// shift)^2, and only that cancels. Where the shift is the mean of some of the elements, the excess is at most
// m2 times n divided by their number, and in practice a few percent of m2. `share` is 1 / count: divisions
// take long.
Moments shifted_moments(Index count, double share, double shift, double sum, double squares) {
  const double m2 = squares - sum * sum * share;
  return {count, shift + sum * share, m2 < 0 ? 0 : m2};  // and NaN stays NaN
}

/// Of a set in the cache an eighth will do, and costs less.
Index pilot_of_whole(Index elements) {
  return std::min(elements, std::max(kShortRun, elements / 8));
}

/// The tensors of one call, and the ways to work through them.
template <class T>
class Work {
 public:
  Work(const Sets& sets, const T* x, Affine<T> affine, double eps, bool frozen)
      : sets_(sets), x_(x), affine_(affine), eps_(eps), frozen_(frozen) {}

  /// Sets the statistics too, unless they are frozen.
  void forward(const Output<T>& out, Statistics& statistics) {
    if (!out.pool) {
      reshape_runs();
      if (by_rows()) return forward_rows(out, statistics);
    }
    const Pieces pieces(sets_, out.pool != nullptr);
    Factors k(factors());
    Sums sums(frozen_ ? 0 : factors());
    Values<T> shift(frozen_ ? 0 : factors());
    // Whole sets are taken as one run each.
    const auto take_sums = [&](const Piece& piece, Index factor, double* sum, double* squares) {
      const PlaneBlock block =
          pieces.whole_sets() ? PlaneBlock{1, piece.runs() / sets_.runs, sets_.elements()} : piece.block;
      kernel_.sums(x_ + piece.begin, block, &shift[factor], sum, squares);
    };
    const auto begin = [&](Index first, Index last) {
      if (frozen_) return;
      if (pieces.whole_sets()) {
        const Index m = sets_.elements();
        kernel_.pilot(x_ + first * m, {1, last - first, m}, pilot_of_whole(m), &shift[first * sets_.runs]);
        return;
      }
      const Index rows = sets_.over_samples && sets_.length == 1 ? std::min(sets_.samples, kPilotRows) : 1;
      kernel_.pilot(x_, {rows, factors(), sets_.length}, std::min(sets_.length, kPilot), shift.data());
    };
    const auto finish = [&](Index first, Index last) {
      if (!frozen_) set_statistics(statistics, first, last, pieces.whole_sets(), shift.data(), sums);
      k.set(*this, statistics, first, last);
    };
    run_passes(pieces, !frozen_, begin, take_sums, sums, finish, [&](const Piece& piece, Index factor) {
      const T* x = x_ + piece.begin;
      const Coefficients<T> coefficients = k.from(factor, out.rectify);
      if (!out.pool) return kernel_.normalize(x, out.y + piece.begin, piece.block, coefficients);
      kernels::Scratch<T> y(piece.elements());
      kernel_.normalize(x, y.data(), piece.block, coefficients);
      out.pool(piece.first_run, piece.runs(), y.data());
    });
  }

  void backward(const Gradient<T>& gradient, const Statistics& statistics, T* dgamma, T* dbeta) {
    if (!gradient.unpool) {
      reshape_runs();
      if (by_rows()) return backward_rows(gradient, statistics, dgamma, dbeta);
    }
    const Pieces pieces(sets_, gradient.unpool != nullptr);
    Factors k(factors());
    Sums sums(factors());
    // Runs body with the piece's dy.
    const auto with_dy = [&](const Piece& piece, const auto& body) {
      if (!gradient.unpool) return body(gradient.dy + piece.begin);
      kernels::Scratch<T> dy(piece.elements());
      gradient.unpool(piece.first_run, piece.runs(), dy.data());
      body(dy.data());
    };
    const auto begin = [&](Index first, Index last) { k.set(*this, statistics, first, last); };
    const auto take_sums = [&](const Piece& piece, Index factor, double* sum_g, double* sum_g_x) {
      with_dy(piece, [&](const T* dy) {
        kernel_.gradient_sums(dy, x_ + piece.begin, piece.block, k.from(factor, gradient.rectify), sum_g,
                              sum_g_x);
      });
    };
    const auto finish = [&](Index first, Index last) {
      for (Index s = first; s < last; ++s) k.set_pull(*this, statistics, s, sums);
    };
    run_passes(pieces, affine_.gamma || !frozen_, begin, take_sums, sums, finish,
               [&](const Piece& piece, Index factor) {
                 with_dy(piece, [&](const T* dy) {
                   kernel_.gradient(dy, x_ + piece.begin, gradient.dx + piece.begin, piece.block,
                                    k.from(factor, gradient.rectify));
                 });
               });
    if (affine_.gamma) parameter_gradients(sums, dgamma, dbeta);
  }

 private:
  // Without gamma the channels of a group do not differ: the whole group is one run. Runs over samples that
  // do not fill a vector become columns, runs of length 1.
  void reshape_runs() {
    if (sets_.over_samples && sets_.length < kShortRun) {
      columns_ = sets_.length;
      sets_.channels *= columns_;
      sets_.length = 1;
      sets_.runs *= columns_;
    } else if (!sets_.over_samples && !affine_.gamma) {
      sets_ = {sets_.samples, sets_.channels / sets_.runs, sets_.elements(), sets_.count, 1, 1, 1, false};
    }
  }

  bool by_rows() const { return !sets_.over_samples && affine_.gamma && sets_.length < kShortRun; }

  // Two sums of each factor. gamma, and what is computed with it, is the same in a whole set over samples (or
  // in each of its columns), else in a run: that is a factor. Factor f begins at run f.
  struct Sums {
    explicit Sums(Index count) : values(2 * count, 0.0), first(values.data()), second(first + count) {}

    Values<double> values;
    double* const first;
    double* const second;
  };
  Index factors_of_set() const { return sets_.over_samples ? columns_ : sets_.runs; }
  Index factors() const { return sets_.count * factors_of_set(); }
  Index factor_of(Index run) const { return sets_.over_samples ? run % sets_.channels : run; }
  Index channel_of(Index factor) const {
    return sets_.over_samples ? factor / columns_ : factor % sets_.channels;
  }
  Index start(Index set) const { return set * sets_.first_step * sets_.length; }

  struct Factors {
    explicit Factors(Index count)
        : values(5 * count),
          center(values.data()),
          scale(center + count),
          offset(scale + count),
          slope(offset + count),
          intercept(slope + count) {}

    /// Of sets [first, last): center, and y = (x - center) scale + offset.
    void set(Work& work, const Statistics& statistics, Index first, Index last) {
      work.set_roots(statistics, first, last);
      for (Index s = first; s < last; ++s) {
        const Normalizer<T> n = work.normalizer(statistics, s);
        work.for_each_factor(s, [&](Index f, Index c) {
          const double factor = n.inv_std * work.gamma(c);
          center[f] = n.center;
          scale[f] = static_cast<T>(factor);
          offset[f] = static_cast<T>(work.beta(c) - n.low * factor);
        });
      }
    }

    /// From sum g and sum g (x - center), of which the second becomes sum g xhat.
    void set_pull(const Work& work, const Statistics& statistics, Index set, Sums& sums) {
      const Normalizer<T> n = work.normalizer(statistics, set);
      double sum = 0, sum_x = 0;
      work.for_each_factor(set, [&](Index f, Index c) {
        sums.second[f] -= n.low * sums.first[f];
        const double gamma = work.gamma(c);
        sum += gamma * sums.first[f];
        sum_x += gamma * sums.second[f];
      });
      const Pull<T> pull(n, sum, sum_x, work.sets_.elements(), work.frozen_);
      work.for_each_factor(set, [&](Index f, Index) {
        slope[f] = pull.slope;
        intercept[f] = pull.offset;
        sums.second[f] *= n.inv_std;
      });
    }

    Coefficients<T> from(Index f, bool rectify) const {
      return {&center[f], &scale[f], &offset[f], &slope[f], &intercept[f], rectify};
    }

    kernels::Scratch<T> values;
    T* const center;
    T* const scale;
    T* const offset;
    T* const slope;
    T* const intercept;
  };

  /// body(factor, its channel) for the factors of a set.
  template <class Body>
  void for_each_factor(Index set, const Body& body) const {
    const Index first = set * factors_of_set(), channel = channel_of(first),
                step = sets_.over_samples ? 0 : 1;
    for (Index i = 0; i < factors_of_set(); ++i) body(first + i, channel + i * step);
  }

  double gamma(Index channel) const {
    return affine_.gamma ? static_cast<double>(affine_.gamma[channel]) : 1;
  }
  double beta(Index channel) const { return affine_.beta ? static_cast<double>(affine_.beta[channel]) : 0; }

  /// What normalizer() needs of sets [first, last).
  void set_roots(const Statistics& statistics, Index first, Index last) {
    kernel_.inverse_roots(&statistics.variance[first], eps_, last - first, &inv_std_[first]);
  }
  Normalizer<T> normalizer(const Statistics& statistics, Index set) const {
    return {statistics.mean[set], inv_std_[set]};
  }

  /// The order of things for all pieces: begin(first set, end), then, if sums are `wanted`, take_sums(piece,
  /// first factor, two results for each), finish(first set, end), and use(piece, first factor).
  template <class Begin, class TakeSums, class Finish, class Use>
  void run_passes(const Pieces& pieces, bool wanted, const Begin& begin, const TakeSums& take_sums,
                  Sums& sums, const Finish& finish, const Use& use) const {
    if (pieces.whole_sets()) {
      parallel_for(pieces.count(), [&](Index i) {
        const Piece piece = pieces[i];
        const Index run = piece.first_run, first = run / sets_.runs, last = first + piece.runs() / sets_.runs;
        begin(first, last);
        if (wanted) take_sums(piece, run, &sums.first[run], &sums.second[run]);
        finish(first, last);
        use(piece, run);
      });
      return;
    }
    begin(0, sets_.count);
    const Index width = pieces.max_channels(), parts = wanted ? pieces.count() : 0;
    kernels::Scratch<double> first(parts * width), second(parts * width);
    parallel_for(parts, [&](Index i) {
      const Piece piece = pieces[i];
      take_sums(piece, factor_of(piece.first_run), first.data() + i * width, second.data() + i * width);
    });
    parallel_ranges(sets_.count, kSetsAtOnce, [&](Index begin_set, Index end_set) {
      for (Index i = 0; i < parts; ++i) {
        const Piece piece = pieces[i];
        const Index of_piece = factor_of(piece.first_run),
                    from = std::max(of_piece, begin_set * factors_of_set()),
                    to = std::min(of_piece + piece.block.channels, end_set * factors_of_set());
        for (Index f = from; f < to; ++f) {
          sums.first[f] += first.data()[i * width + f - of_piece];
          sums.second[f] += second.data()[i * width + f - of_piece];
        }
      }
      finish(begin_set, end_set);
    });
    parallel_for(pieces.count(), [&](Index i) {
      const Piece piece = pieces[i];
      use(piece, factor_of(piece.first_run));
    });
  }

  /// From sums of every factor, or, if those sums are of `whole` sets, of one set after the other, the first
  /// where its first factor's would be.
  void set_statistics(Statistics& statistics, Index first, Index last, bool whole, const T* shift,
                      const Sums& sums) const {
    const Index of_set = whole ? 1 : factors_of_set(), begin = first * factors_of_set();
    const Index count = sets_.elements() / of_set;
    const double share = 1 / static_cast<double>(count);
    const auto moments = [&](Index i) {
      return shifted_moments(count, share, static_cast<double>(shift[i]), sums.first[i], sums.second[i]);
    };
    for (Index s = first; s < last; ++s) {
      const Index i = begin + (s - first) * of_set;
      Moments total = moments(i);
      for (Index other = i + 1; other < i + of_set; ++other) total.add(moments(other));
      set_statistics(statistics, s, total, share / static_cast<double>(of_set));
    }
  }

  static void set_statistics(Statistics& statistics, Index set, const Moments& moments, double share) {
    statistics.mean[set] = moments.mean;
    statistics.variance[set] = moments.m2 * share;
  }

  /// dbeta = sum g and dgamma = sum g xhat; sets of single samples add up.
  void parameter_gradients(const Sums& sums, T* dgamma, T* dbeta) const {
    const Index channels = sets_.channels / columns_;
    std::vector<double> gamma_sums(channels), beta_sums(channels);
    for (Index f = 0; f < factors();)
      for (Index c = 0; c < channels; ++c)
        for (Index column = 0; column < columns_; ++column, ++f) {
          gamma_sums[c] += sums.second[f];
          beta_sums[c] += sums.first[f];
        }
    for (Index c = 0; c < channels; ++c) {
      dgamma[c] = static_cast<T>(gamma_sums[c]);
      dbeta[c] = static_cast<T>(beta_sums[c]);
    }
  }

  // Rows: a set is one row of runs * L elements, gamma and beta are spread out over their channels' elements.

  Values<T> spread(const T* of_channels) const {
    Values<T> values(sets_.channels * sets_.length);
    for (Index c = 0, j = 0; c < sets_.channels; ++c)
      for (Index i = 0; i < sets_.length; ++i, ++j) values[j] = of_channels[c];
    return values;
  }
  Index sets_of_sample() const { return sets_.channels / sets_.runs; }
  Index sample_length() const { return sets_.channels * sets_.length; }

  // Sets of rows are not worth cutting: a row holds the channels of a group with less than kShortRun elements
  // each.
  Index sets_at_once() const {
    constexpr Index kSet = 32;  // what a set costs besides, in elements
    return std::max<Index>(1, kPiece / (sets_.elements() + kSet));
  }

  kernels::Row<T> row(const Statistics& statistics, Index set, const Values<T>& gamma, const Values<T>& beta,
                      bool rectify) const {
    const Normalizer<T> n = normalizer(statistics, set);
    const Index j = set % sets_of_sample() * sets_.elements();
    return {sets_.elements(),
            n.center,
            static_cast<T>(n.inv_std),
            static_cast<T>(-n.low * n.inv_std),
            &gamma[j],
            &beta[j],
            0,
            0,
            rectify};
  }

  void forward_rows(const Output<T>& out, Statistics& statistics) {
    const Values<T> gamma = spread(affine_.gamma), beta = spread(affine_.beta);
    parallel_ranges(sets_.count, sets_at_once(), [&](Index begin, Index end) {
      if (!frozen_)
        for (Index s = begin; s < end; ++s) {
          set_statistics(statistics, s, row_moments(x_ + start(s)),
                         1 / static_cast<double>(sets_.elements()));
        }
      set_roots(statistics, begin, end);
      for (Index s = begin; s < end; ++s)
        kernel_.normalize_row(x_ + start(s), out.y + start(s), row(statistics, s, gamma, beta, out.rectify));
    });
  }

  Moments row_moments(const T* x) const {
    const PlaneBlock block{1, 1, sets_.elements()};
    T shift = 0;
    double sum = 0, squares = 0;
    kernel_.pilot(x, block, pilot_of_whole(block.length), &shift);
    kernel_.sums(x, block, &shift, &sum, &squares);
    return shifted_moments(block.length, 1 / static_cast<double>(block.length), static_cast<double>(shift),
                           sum, squares);
  }

  void backward_rows(const Gradient<T>& gradient, const Statistics& statistics, T* dgamma, T* dbeta) {
    constexpr Index kSamplesInT = 64;  // whose dgamma is summed in T before it goes to double
    const Index columns = sample_length();
    const Values<T> gamma = spread(affine_.gamma), beta = spread(affine_.beta);
    const Index grain = std::max(kernels::ceil_div(kPiece, std::max<Index>(1, columns)),
                                 kernels::ceil_div(sets_.samples, 16));
    const Index blocks = kernels::ceil_div(sets_.samples, grain);
    kernels::Scratch<double> gamma_sums(blocks * columns), beta_sums(blocks * columns);
    parallel_ranges(sets_.samples, grain, [&](Index first, Index last) {
      set_roots(statistics, first * sets_of_sample(), last * sets_of_sample());
      double* const gamma_sum = gamma_sums.data() + first / grain * columns;
      double* const beta_sum = beta_sums.data() + first / grain * columns;
      std::fill_n(gamma_sum, columns, 0.0);
      std::fill_n(beta_sum, columns, 0.0);
      Values<T> gamma_part(columns, T{0}), beta_part(columns, T{0});
      for (Index sample = first; sample < last; ++sample) {
        for (Index s = sample * sets_of_sample(); s < (sample + 1) * sets_of_sample(); ++s)
          backward_row(gradient, statistics, s, row(statistics, s, gamma, beta, gradient.rectify), gamma_part,
                       beta_part);
        if ((sample + 1 - first) % kSamplesInT != 0 && sample + 1 != last) continue;
        for (Index j = 0; j < columns; ++j) {
          gamma_sum[j] += static_cast<double>(gamma_part[j]);
          beta_sum[j] += static_cast<double>(beta_part[j]);
          gamma_part[j] = beta_part[j] = 0;
        }
      }
    });
    double* const gamma_total = gamma_sums.data();
    double* const beta_total = beta_sums.data();
    for (Index block = 1; block < blocks; ++block)
      for (Index j = 0; j < columns; ++j) {
        gamma_total[j] += gamma_total[block * columns + j];
        beta_total[j] += beta_total[block * columns + j];
      }
    for (Index c = 0; c < sets_.channels; ++c) {
      const Index begin = c * sets_.length, end = begin + sets_.length;
      dgamma[c] = static_cast<T>(std::accumulate(gamma_total + begin, gamma_total + end, 0.0));
      dbeta[c] = static_cast<T>(std::accumulate(beta_total + begin, beta_total + end, 0.0));
    }
  }

  void backward_row(const Gradient<T>& gradient, const Statistics& statistics, Index s, kernels::Row<T> row,
                    Values<T>& dgamma, Values<T>& dbeta) const {
    const T *dy = gradient.dy + start(s), *x = x_ + start(s);
    double sum_g = 0, sum_g_x = 0;
    kernel_.gradient_sums_row(dy, x, row, &sum_g, &sum_g_x);
    const Normalizer<T> n = normalizer(statistics, s);
    const Pull<T> pull(n, sum_g, sum_g_x - n.low * sum_g, row.length, frozen_);
    row.slope = pull.slope;
    row.intercept = pull.offset;
    const Index j = s % sets_of_sample() * row.length;
    kernel_.gradient_row(dy, x, gradient.dx + start(s), row, &dgamma[j], &dbeta[j]);
  }

  Sets sets_;
  Index columns_ = 1;  // of a channel
  const T* x_;
  Affine<T> affine_;
  double eps_;
  bool frozen_;
  Values<double> inv_std_ = Values<double>(sets_.count);
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
Statistics forward(const Sets& sets, const T* x, const Output<T>& output, Affine<T> affine, double eps) {
  Statistics statistics{std::vector<double>(sets.count), std::vector<double>(sets.count)};
  Work<T>(sets, x, affine, eps, /*frozen=*/false).forward(output, statistics);
  return statistics;
}

template <class T>
void apply(const Sets& sets, const T* x, const Output<T>& output, const Statistics& statistics,
           Affine<T> affine, double eps) {
  Statistics given = statistics;
  Work<T>(sets, x, affine, eps, /*frozen=*/true).forward(output, given);
}

template <class T>
void backward(const Sets& sets, const T* x, const Gradient<T>& gradient, const Statistics& statistics,
              Affine<T> affine, T* dgamma, T* dbeta, double eps, bool frozen) {
  Work<T>(sets, x, affine, eps, frozen).backward(gradient, statistics, dgamma, dbeta);
}

#define STRATA_INSTANTIATE(T)                                                                                \
  template Statistics forward<T>(const Sets&, const T*, const Output<T>&, Affine<T>, double);                \
  template void apply<T>(const Sets&, const T*, const Output<T>&, const Statistics&, Affine<T>, double);     \
  template void backward<T>(const Sets&, const T*, const Gradient<T>&, const Statistics&, Affine<T>, T*, T*, \
                            double, bool)

STRATA_INSTANTIATE(float);
STRATA_INSTANTIATE(double);

}  // namespace strata::normalization
