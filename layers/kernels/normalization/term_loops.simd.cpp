#include "strata/layers/kernels/normalization/term_loops.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/normalization/vector_loops.hpp"

// Plain loops, which the compiler turns into vector code for each instruction set.
namespace strata::kernels {
namespace {

template <class T>
void moments(Index sets, Index elements, const T* __restrict shift, const double* __restrict sum,
             const double* __restrict squares, double* __restrict mean, double* __restrict variance) {
  const double share = 1 / static_cast<double>(elements);
  for (Index s = 0; s < sets; ++s) {
    const double m2 = squares[s] - sum[s] * (sum[s] * share);
    mean[s] = static_cast<double>(shift[s]) + sum[s] * share;
    variance[s] = settled(m2) * share;
  }
}

template <bool has_gamma, bool has_beta, class T>
void coefficients(Index sets, const double* __restrict mean, const double* __restrict inv_std,
                  const T* __restrict gamma, const T* __restrict beta, T* __restrict center,
                  T* __restrict scale, T* __restrict offset) {
  for (Index s = 0; s < sets; ++s) {
    const T rounded = static_cast<T>(mean[s]);
    const double low = mean[s] - static_cast<double>(rounded);
    const double factor = has_gamma ? inv_std[s] * static_cast<double>(gamma[s]) : inv_std[s];
    center[s] = rounded;
    scale[s] = static_cast<T>(factor);
    offset[s] = static_cast<T>((has_beta ? static_cast<double>(beta[s]) : 0) - low * factor);
  }
}

template <class T>
void any_coefficients(Index sets, const double* mean, const double* inv_std, const T* gamma, const T* beta,
                      T* center, T* scale, T* offset) {
  const auto run = gamma  ? (beta ? coefficients<true, true, T> : coefficients<true, false, T>)
                   : beta ? coefficients<false, true, T>
                          : coefficients<false, false, T>;
  run(sets, mean, inv_std, gamma, beta, center, scale, offset);
}

template <bool has_gamma, class T>
void pull(Index sets, Index elements, const double* __restrict mean, const double* __restrict inv_std,
          const T* __restrict gamma, const double* __restrict sum_g, double* __restrict sum_g_x,
          T* __restrict slope, T* __restrict intercept) {
  const double share = 1 / static_cast<double>(elements);
  for (Index s = 0; s < sets; ++s) {
    const double low = mean[s] - static_cast<double>(static_cast<T>(mean[s]));
    const double sum_g_d = sum_g_x[s] - low * sum_g[s];  // d = x - mean
    const double factor = share * inv_std[s] * (has_gamma ? static_cast<double>(gamma[s]) : 1);
    const double by_d = -factor * inv_std[s] * inv_std[s] * sum_g_d;
    slope[s] = static_cast<T>(by_d);
    intercept[s] = static_cast<T>(-factor * sum_g[s] - by_d * low);
    sum_g_x[s] = sum_g_d * inv_std[s];
  }
}

template <class T>
void any_pull(Index sets, Index elements, const double* mean, const double* inv_std, const T* gamma,
              const double* sum_g, double* sum_g_x, T* slope, T* intercept) {
  const auto run = gamma ? pull<true, T> : pull<false, T>;
  run(sets, elements, mean, inv_std, gamma, sum_g, sum_g_x, slope, intercept);
}

template <class T>
constexpr NormalizationTerms<T> kTable{moments<T>, any_coefficients<T>, any_pull<T>};

}  // namespace

STRATA_KERNEL_TABLE(kTable<float>);
STRATA_KERNEL_TABLE(kTable<double>);

}  // namespace strata::kernels
