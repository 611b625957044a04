#include "strata/layers/kernels/normalization/rows.hpp"

#include <algorithm>
#include <numeric>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/normalization/vector_loops.hpp"
#include "strata/layers/kernels/scratch.hpp"

namespace strata::normalization::rows {
namespace {

/// The tensors of one call, and the way to work through them by rows.
template <class T>
class Rows {
 public:
  explicit Rows(const Problem<T>& problem)
      : problem_(problem), gamma_(spread(problem.affine.gamma)), beta_(spread(problem.affine.beta)) {}

  void forward(const Output<T>& out, Statistics& statistics) const {
    Normalizers<T> normalizers(statistics, problem_.eps);
    parallel_ranges(sets_.count, sets_at_once(), [&](Index begin, Index end) {
      if (!problem_.frozen) {
        const double share = 1 / static_cast<double>(sets_.elements());
        for (Index s = begin; s < end; ++s)
          store(moments(problem_.x + start(s), share), share, statistics, s);
      }
      normalizers.prepare(begin, end);
      for (Index s = begin; s < end; ++s)
        kernel_.normalize_row(problem_.x + start(s), out.y + start(s), row(normalizers[s], s, out.rectify));
    });
  }

  void backward(const Gradient<T>& gradient, const Statistics& statistics, T* dgamma, T* dbeta) const {
    constexpr Index kSamplesInT = 64;  // whose dgamma is summed in T before it goes to double
    const Index columns = sample_length();
    const Index grain = std::max(kernels::ceil_div(kPiece, std::max<Index>(1, columns)),
                                 kernels::ceil_div(sets_.samples, 16));
    const Index blocks = kernels::ceil_div(sets_.samples, grain);
    Normalizers<T> normalizers(statistics, problem_.eps);
    kernels::Scratch<double> gamma_sums(blocks * columns), beta_sums(blocks * columns);
    parallel_ranges(sets_.samples, grain, [&](Index first, Index last) {
      normalizers.prepare(first * sets_of_sample(), last * sets_of_sample());
      double* const gamma_sum = gamma_sums.data() + first / grain * columns;
      double* const beta_sum = beta_sums.data() + first / grain * columns;
      std::fill_n(gamma_sum, columns, 0.0);
      std::fill_n(beta_sum, columns, 0.0);
      Values<T> gamma_part(columns, T{0}), beta_part(columns, T{0});
      for (Index sample = first; sample < last; ++sample) {
        for (Index s = sample * sets_of_sample(); s < (sample + 1) * sets_of_sample(); ++s)
          backward_row(gradient, normalizers[s], s, gamma_part, beta_part);
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

 private:
  Index sets_of_sample() const { return sets_.channels / sets_.runs; }
  Index sample_length() const { return sets_.channels * sets_.length; }
  Index start(Index set) const { return set * sets_.first_step * sets_.length; }

  // Worth a thread together. A row is short, as its runs have less than kShortRun elements each: it is not
  // worth cutting.
  Index sets_at_once() const {
    constexpr Index kSet = 32;  // what a set costs besides, in elements
    return std::max<Index>(1, kPiece / (sets_.elements() + kSet));
  }

  Values<T> spread(const T* of_channels) const {
    Values<T> values(sample_length());
    for (Index c = 0, j = 0; c < sets_.channels; ++c)
      for (Index i = 0; i < sets_.length; ++i, ++j) values[j] = of_channels[c];
    return values;
  }

  // `share`: 1 / elements.
  kernels::Moments moments(const T* x, double share) const {
    T shift = 0;
    double sum = 0, squares = 0;
    kernel_.row_sums(x, sets_.elements(), &shift, &sum, &squares);
    return shifted_moments(sets_.elements(), share, static_cast<double>(shift), sum, squares);
  }

  kernels::Row<T> row(const Normalizer<T>& n, Index set, bool rectify) const {
    const Index j = set % sets_of_sample() * sets_.elements();
    return {sets_.elements(),
            n.center,
            static_cast<T>(n.inv_std),
            static_cast<T>(-n.low * n.inv_std),
            &gamma_[j],
            &beta_[j],
            0,
            0,
            rectify};
  }

  void backward_row(const Gradient<T>& gradient, const Normalizer<T>& n, Index set, Values<T>& dgamma,
                    Values<T>& dbeta) const {
    const T *dy = gradient.dy + start(set), *x = problem_.x + start(set);
    kernels::Row<T> row = this->row(n, set, gradient.rectify);
    double sum_g = 0, sum_g_x = 0;
    kernel_.gradient_sums_row(dy, x, row, &sum_g, &sum_g_x);
    const Pull<T> pull(n, sum_g, sum_g_x - n.low * sum_g, row.length, problem_.frozen);
    row.slope = pull.slope;
    row.intercept = pull.offset;
    const Index j = set % sets_of_sample() * row.length;
    kernel_.gradient_row(dy, x, gradient.dx + start(set), row, &dgamma[j], &dbeta[j]);
  }

  const Problem<T>& problem_;
  const Sets sets_ = problem_.sets;
  Values<T> gamma_, beta_;  // of the elements of a sample
  const kernels::Normalization<T>& kernel_ = kernels::table<kernels::Normalization<T>>();
};

}  // namespace

template <class T>
void forward(const Problem<T>& problem, const Output<T>& output, Statistics& statistics) {
  Rows<T>(problem).forward(output, statistics);
}

template <class T>
void backward(const Problem<T>& problem, const Gradient<T>& gradient, const Statistics& statistics, T* dgamma,
              T* dbeta) {
  Rows<T>(problem).backward(gradient, statistics, dgamma, dbeta);
}

#define STRATA_INSTANTIATE(T)                                                 \
  template void forward<T>(const Problem<T>&, const Output<T>&, Statistics&); \
  template void backward<T>(const Problem<T>&, const Gradient<T>&, const Statistics&, T*, T*)

STRATA_INSTANTIATE(float);
STRATA_INSTANTIATE(double);

}  // namespace strata::normalization::rows
