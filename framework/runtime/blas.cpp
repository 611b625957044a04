#include "strata/framework/runtime/blas.hpp"

#include <xtensor-blas/xblas.hpp>

#include "strata/framework/runtime/fork.hpp"

extern "C" void openblas_set_num_threads(int count);
extern "C" char* openblas_get_config();

namespace strata {
namespace {

// Strata's own loops share out the work; a second level of threads inside each GEMM would make them slower
// and would let the number of threads change the order of the sums. The setting is OpenBLAS's, and the
// process's.
void use_one_blas_thread() {
  static constinit detail::Lazy<bool> done;
  done.get([] {
    openblas_set_num_threads(1);
    return true;
  });
}

constexpr cxxblas::Transpose to_cxxblas(Transpose transpose) {
  return transpose == Transpose::yes ? cxxblas::Trans : cxxblas::NoTrans;
}

}  // namespace

std::string blas_version() {
  return openblas_get_config();
}

template <class T>
void gemm(Transpose transpose_a, Transpose transpose_b, Index m, Index n, Index k, T alpha, const T* a,
          Index lda, const T* b, Index ldb, T beta, T* c, Index ldc) {
  use_one_blas_thread();
  const detail::HoldFork hold;  // it locks its list of buffers, in which a child would wait for ever
  const auto narrow = [](Index value) { return static_cast<xt::blas_index_t>(value); };
  cxxblas::gemm(cxxblas::RowMajor, to_cxxblas(transpose_a), to_cxxblas(transpose_b), narrow(m), narrow(n),
                narrow(k), alpha, a, narrow(lda), b, narrow(ldb), beta, c, narrow(ldc));
}

template void gemm<float>(Transpose, Transpose, Index, Index, Index, float, const float*, Index, const float*,
                          Index, float, float*, Index);
template void gemm<double>(Transpose, Transpose, Index, Index, Index, double, const double*, Index,
                           const double*, Index, double, double*, Index);

}  // namespace strata
