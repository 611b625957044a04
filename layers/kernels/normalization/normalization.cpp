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
// With a rectifier behind y, dy above is g, which is 0 where y <= 0 and else dy: y is computed again, which
// is cheaper than to keep it.
//
// x is worked through in the order of memory, in pieces that fit the L2 cache. Where every set lies within a
// piece, its statistics are taken and used at once; else the sums of all pieces come first. A processor whose
// L2 is large has its L3 far off: there, pieces are sets over samples, from wherever they lie, if those fit.
// Sums are taken and added up in the same parts all the same: bits depend on the sizes alone.
//
// The ladder, over the plain loops of layers/reference/normalization.hpp:
//   1. one pass for both moments, of x less a first idea of its mean (kPilot), which rounds as little as two
//   passes.
//   2. pieces that fit the cache, so that x is read from memory once or twice and not three times.
//   3. y = (x - center) scale + offset, one multiply-add an element; the like for dx (vector_loops.simd.cpp).
//   4. threads take pieces; partial sums are added in the order of pieces.
//   5. sets of one run each go by planes (planes.hpp), each read from memory once, sums and results in one
//   call.
//   6. short runs of single samples, where there are gamma and beta, go by rows (rows.hpp), which fill
//   vectors.
//   7. images that a convolution has just computed are taken from the cache (images.hpp).
#include "strata/layers/kernels/normalization/normalization.hpp"

#include <algorithm>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/runtime/processor_cache.hpp"
#include "strata/layers/kernels/normalization/passes.hpp"
#include "strata/layers/kernels/normalization/pieces.hpp"
#include "strata/layers/kernels/normalization/planes.hpp"
#include "strata/layers/kernels/normalization/rows.hpp"
#include "strata/layers/kernels/normalization/term_loops.hpp"
#include "strata/layers/kernels/normalization/terms.hpp"
#include "strata/layers/kernels/normalization/vector_loops.hpp"
#include "strata/layers/kernels/scratch.hpp"

namespace strata::normalization {
namespace {

using kernels::Coefficients;
using kernels::Moments;
using kernels::PlaneBlock;

constexpr Index kPilot = 1024;    // elements of a run that give a first idea of its mean
constexpr Index kPilotRows = 16;  // the same, of a column

/// The tensors of one call, and the way to work through them in pieces.
template <class T>
class Work {
 public:
  explicit Work(const Problem<T>& problem) : problem_(problem), sets_(problem.sets) {}

  /// Sets the statistics too, unless they are frozen.
  void forward(const Output<T>& out, Statistics& statistics) {
    if (!out.pool) reshape_runs();
    const Pieces pieces(sets_, out.pool != nullptr, problem_.frozen ? 0 : gathered());
    const Passes passes(pieces, sets_, factors_of_set());
    Normalizers<T> normalizers(statistics, problem_.eps);
    Factors k(factors());
    Sums sums(problem_.frozen ? 0 : factors());
    Values<T> shift(problem_.frozen ? 0 : factors());
    // Whole sets that lie in one piece are taken as one run each.
    const bool as_runs = pieces.whole_sets() && !sets_.over_samples;
    const auto take_sums = [&](const Piece& piece, Index factor, double* sum, double* squares) {
      const PlaneBlock block =
          as_runs ? PlaneBlock{1, piece.runs() / sets_.runs, sets_.elements()} : piece.block;
      kernel_.sums(problem_.x + piece.begin, block, &shift[factor], sum, squares);
    };
    const auto begin = [&](Index first, Index last) {
      if (problem_.frozen) return;
      if (as_runs) {
        const Index m = sets_.elements();
        kernel_.pilot(problem_.x + first * m, {1, last - first, m}, pilot_of_whole(m),
                      &shift[first * sets_.runs]);
        return;
      }
      const Index rows = sets_.over_samples && sets_.length == 1 ? std::min(sets_.samples, kPilotRows) : 1;
      const Index from = first * factors_of_set(), to = last * factors_of_set();
      kernel_.pilot(problem_.x + from * sets_.length, {rows, to - from, sets_.length},
                    std::min(sets_.length, kPilot), &shift[from]);
    };
    const auto finish = [&](Index first, Index last) {
      if (!problem_.frozen) set_statistics(statistics, first, last, as_runs, shift.data(), sums);
      k.set(*this, normalizers, first, last);
    };
    passes.run(
        !problem_.frozen, begin, take_sums, sums, finish,
        [&](const Piece& piece, Index factor) {
          const T* x = problem_.x + piece.begin;
          const Coefficients<T> coefficients = k.from(factor, out.rectify);
          if (!out.pool) return kernel_.normalize(x, out.y + piece.begin, piece.block, coefficients);
          kernels::Scratch<T> y(piece.elements());
          kernel_.normalize(x, y.data(), piece.block, coefficients);
          out.pool(piece.first_run, piece.runs(), y.data());
        },
        nullptr);
  }

  void backward(const Gradient<T>& gradient, const Statistics& statistics, T* dgamma, T* dbeta) {
    if (!gradient.unpool) reshape_runs();
    const bool wanted = problem_.affine.gamma || !problem_.frozen;
    const Pieces pieces(sets_, gradient.unpool != nullptr, wanted ? gathered() : 0);
    const Passes passes(pieces, sets_, factors_of_set());
    Normalizers<T> normalizers(statistics, problem_.eps);
    Factors k(factors());
    Sums sums(factors());
    // Runs body with the piece's dy.
    const auto with_dy = [&](const Piece& piece, const auto& body) {
      if (!gradient.unpool) return body(gradient.dy + piece.begin);
      kernels::Scratch<T> dy(piece.elements());
      gradient.unpool(piece.first_run, piece.runs(), dy.data());
      body(dy.data());
    };
    const auto begin = [&](Index first, Index last) { k.set(*this, normalizers, first, last); };
    const auto take_sums = [&](const Piece& piece, Index factor, double* sum_g, double* sum_g_x) {
      with_dy(piece, [&](const T* dy) {
        kernel_.gradient_sums(dy, problem_.x + piece.begin, piece.block, k.from(factor, gradient.rectify),
                              sum_g, sum_g_x);
      });
    };
    const auto finish = [&](Index first, Index last) { k.set_pull(*this, normalizers, first, last, sums); };
    const auto use = [&](const Piece& piece, Index factor) {
      with_dy(piece, [&](const T* dy) {
        kernel_.gradient(dy, problem_.x + piece.begin, gradient.dx + piece.begin, piece.block,
                         k.from(factor, gradient.rectify));
      });
    };
    const auto pass = [&](Index from, Index factor) {
      return kernels::GradientPass<T>{gradient.dy + from, problem_.x + from,
                                      k.from(factor, gradient.rectify)};
    };
    const auto use_beside_sums = [&](const Piece& piece, Index factor, const Piece& next, Index next_factor) {
      passes.take_whole_sums(
          next, next_factor, sums, [&](const Piece& part, Index, double* sum_g, double* sum_g_x) {
            const Index there = piece.begin + part.begin - next.begin;
            kernel_.gradient_beside_sums(pass(there, factor), gradient.dx + there,
                                         pass(part.begin, next_factor), part.block, sum_g, sum_g_x);
          });
    };
    passes.run(wanted, begin, take_sums, sums, finish, use, use_beside_sums);
    if (problem_.affine.gamma) parameter_gradients(sums, dgamma, dbeta);
  }

 private:
  // Elements of a set that may be fetched from all over x; with what is written it takes a quarter of the
  // cache. Measured: 1.5 times as fast as the order of memory with 2 MB of L2 a core and a shared L3 of 28
  // GB/s (Intel's servers), slower with 1 MB and an L3 of twice that.
  static Index gathered() {
    constexpr Index kLarge = Index{2} << 20;
    const Index cache = l2_cache_bytes();
    return cache < kLarge ? 0 : cache / 8 / static_cast<Index>(sizeof(T));
  }

  // Without gamma the channels of a group do not differ: the whole group is one run. Runs over samples that
  // do not fill a vector become columns, runs of length 1.
  void reshape_runs() {
    if (sets_.over_samples && sets_.length < kShortRun) {
      columns_ = sets_.length;
      sets_.channels *= columns_;
      sets_.length = 1;
      sets_.runs *= columns_;
    } else if (!sets_.over_samples && !problem_.affine.gamma) {
      sets_ = {sets_.samples, sets_.channels / sets_.runs, sets_.elements(), sets_.count, 1, 1, false};
    }
  }

  // gamma, and what is computed with it, is the same in a whole set over samples (or in each of its columns),
  // else in a run: that is a factor. Factor f begins at run f.
  Index factors_of_set() const { return sets_.over_samples ? columns_ : sets_.runs; }
  Index factors() const { return sets_.count * factors_of_set(); }
  Index channel_of(Index factor) const {
    return sets_.over_samples ? factor / columns_ : factor % sets_.channels;
  }

  struct Factors {
    explicit Factors(Index count)
        : values(5 * count),
          center(values.data()),
          scale(center + count),
          offset(scale + count),
          slope(offset + count),
          intercept(slope + count) {}

    /// Of sets [first, last): center, and y = (x - center) scale + offset.
    void set(const Work& work, Normalizers<T>& normalizers, Index first, Index last) {
      normalizers.prepare(first, last);
      if (work.factors_of_set() == 1) {
        work.for_each_stretch(first, last, [&](Index s, Index count, const T* gamma, const T* beta) {
          work.terms_.coefficients(count, normalizers.means() + s, normalizers.inverse_roots() + s, gamma,
                                   beta, center + s, scale + s, offset + s);
        });
        return;
      }
      for (Index s = first; s < last; ++s) {
        const Normalizer<T> n = normalizers[s];
        work.for_each_factor(s, [&](Index f, Index c) {
          const double factor = n.inv_std * work.problem_.gamma(c);
          center[f] = n.center;
          scale[f] = static_cast<T>(factor);
          offset[f] = static_cast<T>(work.problem_.beta(c) - n.low * factor);
        });
      }
    }

    /// Of sets [first, last), from sum g and sum g (x - center), of which the second becomes sum g xhat.
    void set_pull(const Work& work, const Normalizers<T>& normalizers, Index first, Index last, Sums& sums) {
      const Index elements = work.sets_.elements();
      if (work.factors_of_set() == 1 && !work.problem_.frozen) {
        work.for_each_stretch(first, last, [&](Index s, Index count, const T* gamma, const T*) {
          work.terms_.pull(count, elements, normalizers.means() + s, normalizers.inverse_roots() + s, gamma,
                           sums.first + s, sums.second + s, slope + s, intercept + s);
        });
        return;
      }
      for (Index s = first; s < last; ++s) {
        const Normalizer<T> n = normalizers[s];
        double sum = 0, sum_x = 0;
        work.for_each_factor(s, [&](Index f, Index c) {
          sums.second[f] -= n.low * sums.first[f];
          const double gamma = work.problem_.gamma(c);
          sum += gamma * sums.first[f];
          sum_x += gamma * sums.second[f];
        });
        const Pull<T> pull(n, sum, sum_x, elements, work.problem_.frozen);
        work.for_each_factor(s, [&](Index f, Index) {
          slope[f] = pull.slope;
          intercept[f] = pull.offset;
          sums.second[f] *= n.inv_std;
        });
      }
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

  /// body(set, count, their gammas, their betas) for stretches of sets of one factor whose channels follow
  /// each other.
  template <class Body>
  void for_each_stretch(Index first, Index last, const Body& body) const {
    const auto [gamma, beta] = problem_.affine;
    for (Index s = first, count; s < last; s += count) {
      const Index channel = channel_of(s);
      count = std::min(last - s, sets_.channels - channel);
      body(s, count, gamma ? gamma + channel : nullptr, beta ? beta + channel : nullptr);
    }
  }

  /// From sums of every factor, or, if those sums are of `whole` sets, of one set after the other, the first
  /// where its first factor's would be.
  void set_statistics(Statistics& statistics, Index first, Index last, bool whole, const T* shift,
                      const Sums& sums) const {
    const Index of_set = whole ? 1 : factors_of_set(), begin = first * factors_of_set();
    const Index count = sets_.elements() / of_set;
    if (of_set == 1)
      return terms_.moments(last - first, count, shift + begin, sums.first + begin, sums.second + begin,
                            &statistics.mean[first], &statistics.variance[first]);
    const double share = 1 / static_cast<double>(count);
    const auto moments = [&](Index i) {
      return shifted_moments(count, share, static_cast<double>(shift[i]), sums.first[i], sums.second[i]);
    };
    for (Index s = first; s < last; ++s) {
      const Index i = begin + (s - first) * of_set;
      Moments total = moments(i);
      for (Index other = i + 1; other < i + of_set; ++other) total.add(moments(other));
      store(total, share / static_cast<double>(of_set), statistics, s);
    }
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

  const Problem<T>& problem_;
  Sets sets_;          // the problem's, or with other runs
  Index columns_ = 1;  // of a channel
  const kernels::Normalization<T>& kernel_ = kernels::table<kernels::Normalization<T>>();
  const kernels::NormalizationTerms<T>& terms_ = kernels::table<kernels::NormalizationTerms<T>>();
};

// Where runs are too short to fill a vector, and gamma tells them apart.
template <class T>
bool by_rows(const Problem<T>& p) {
  return !p.sets.over_samples && p.affine.gamma && p.sets.length < kShortRun;
}

/// Sets the statistics too, unless they are frozen.
template <class T>
void normalize(const Problem<T>& problem, const Output<T>& output, Statistics& statistics) {
  if (!output.pool && by_rows(problem)) return rows::forward(problem, output, statistics);
  if (planes::suits(problem, output.pool != nullptr)) return planes::forward(problem, output, statistics);
  Work<T>(problem).forward(output, statistics);
}

}  // namespace

template <class T>
Statistics forward(const Sets& sets, const T* x, const Output<T>& output, Affine<T> affine, double eps) {
  Statistics statistics{std::vector<double>(sets.count), std::vector<double>(sets.count)};
  normalize<T>({sets, x, affine, eps, /*frozen=*/false}, output, statistics);
  return statistics;
}

template <class T>
void apply(const Sets& sets, const T* x, const Output<T>& output, const Statistics& statistics,
           Affine<T> affine, double eps) {
  Statistics given = statistics;
  normalize<T>({sets, x, affine, eps, /*frozen=*/true}, output, given);
}

template <class T>
void backward(const Sets& sets, const T* x, const Gradient<T>& gradient, const Statistics& statistics,
              Affine<T> affine, T* dgamma, T* dbeta, double eps, bool frozen) {
  const Problem<T> problem{sets, x, affine, eps, frozen};
  if (!gradient.unpool && by_rows(problem))
    return rows::backward(problem, gradient, statistics, dgamma, dbeta);
  if (planes::suits(problem, gradient.unpool != nullptr))
    return planes::backward(problem, gradient, statistics, dgamma, dbeta);
  Work<T>(problem).backward(gradient, statistics, dgamma, dbeta);
}

#define STRATA_INSTANTIATE(T)                                                                                \
  template Statistics forward<T>(const Sets&, const T*, const Output<T>&, Affine<T>, double);                \
  template void apply<T>(const Sets&, const T*, const Output<T>&, const Statistics&, Affine<T>, double);     \
  template void backward<T>(const Sets&, const T*, const Gradient<T>&, const Statistics&, Affine<T>, T*, T*, \
                            double, bool)

STRATA_INSTANTIATE(float);
STRATA_INSTANTIATE(double);

}  // namespace strata::normalization
