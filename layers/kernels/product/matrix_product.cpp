#include "strata/layers/kernels/product/matrix_product.hpp"

#include <algorithm>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/convolution/direct.hpp"
#include "strata/layers/kernels/convolution/pixels.hpp"
#include "strata/layers/kernels/index_math.hpp"

namespace strata::kernels {
template <class T>
void multiply_by_blas(const MatrixProduct<T>& p, Transpose of_b) {
  const bool transposed = p.a_term != 1;
  // Of a matrix of a single row or column the distance is of no use, but BLAS checks it.
  const Index lda = transposed ? std::max(p.a_term, p.rows) : std::max(p.a_row, p.terms);
  gemm<T>(transposed ? Transpose::yes : Transpose::no, of_b, p.rows, p.columns, p.terms, 1, p.a, lda, p.b,
          p.b_row, p.accumulate ? 1 : 0, p.c, p.c_row);
}

template void multiply_by_blas(const MatrixProduct<float>&, Transpose);
template void multiply_by_blas(const MatrixProduct<double>&, Transpose);

// OpenBLAS has code of its own for small matrices with AVX-512 alone. Of others it clears c and copies a and
// b before it multiplies; our loops need not, and take 0.75 of the time. With AVX-512 they wait for rows of b
// that are long and come from L3, at 384 columns as long as the copies take.
void multiply(const MatrixProduct<float>& p) {
  constexpr Index kLongRow = 256;
  const bool by_blas = instruction_set() == InstructionSet::avx512 &&
                       (p.columns > kLongRow || p.rows * p.terms * p.columns <= kSmallProduct);
  by_blas ? multiply_by_blas(p) : multiply_directly(p);
}

void multiply_directly(const MatrixProduct<float>& p) {
  const Run all{0, 0};
  table<Direct>().multiply({.rows = p.rows,
                            .line_rows = p.rows,
                            .columns = round_up(p.columns, table<PixelLayout>().lanes),
                            .run_count = 1,
                            .run_length = p.terms,
                            .runs = &all,
                            .a = p.a,
                            .a_line = 0,
                            .a_row = p.a_row,
                            .a_term = p.a_term,
                            .b = p.b,
                            .b_row = p.b_row,
                            .c = p.c,
                            .c_line = 0,
                            .c_row = p.c_row,
                            .accumulate = p.accumulate});
}

}  // namespace strata::kernels
