// The one door to BLAS. Every call runs on the calling thread alone.
#pragma once

#include "strata/framework/tensor.hpp"

namespace strata {

/// The library that runs, its build and the processor it found: what may change the last bits of a product.
std::string blas_version();

enum class Transpose { no, yes };

/// C = alpha op(A) op(B) + beta C for row-major matrices: op(A) is (m, k), op(B) is (k, n), C is (m, n);
/// `lda`, `ldb` and `ldc` are the distances between the stored rows. With beta = 0, C need not be
/// initialized.
template <class T>
void gemm(Transpose transpose_a, Transpose transpose_b, Index m, Index n, Index k, T alpha, const T* a,
          Index lda, const T* b, Index ldb, T beta, T* c, Index ldc);

}  // namespace strata
