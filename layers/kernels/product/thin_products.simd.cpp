// Products with a factor of few rows or columns. Over the plain loops: 1. vectors along the long side; 2.
// several rows of sums in registers, so that each weight is loaded once; 3. nothing is copied, which OpenBLAS
// does with either factor and which takes longer than a product of a few rows.
#include "strata/layers/kernels/product/thin_products.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/simd/batches.hpp"

namespace strata::kernels {
namespace {

constexpr Index kTerms = 4;  // rows of b that go by at once: c is read and written a quarter as often
constexpr Index kRows = 2;   // of c that share what is loaded of those

/// kCount rows of c become, or gain, kTermCount columns of a times as many rows of b.
template <Index kCount, Index kTermCount, class T>
void add_terms(const MatrixProduct<T>& p, Index row, Index term) {
  T factors[kCount][kTermCount ? kTermCount : 1];
  for (Index r = 0; r < kCount; ++r)
    for (Index t = 0; t < kTermCount; ++t) factors[r][t] = p.a[(row + r) * p.a_row + (term + t) * p.a_term];
  const T* const b = p.b + term * p.b_row;
  T* const c = p.c + row * p.c_row;
  const bool gain = term > 0 || p.accumulate;
  for_each<T>(p.columns, [=, &factors]<class V>(Index j, V) {
    V of_b[kTermCount ? kTermCount : 1];
    for (Index t = 0; t < kTermCount; ++t) of_b[t] = load(b + t * p.b_row + j, V());
    for (Index r = 0; r < kCount; ++r) {
      T* const to = c + r * p.c_row + j;
      V sum = gain ? load(to, V()) : V(T{0});
      for (Index t = 0; t < kTermCount; ++t) sum = multiply_add(V(factors[r][t]), of_b[t], sum);
      write(to, sum);
    }
  });
}

template <Index kTermCount, class T>
void add_terms(const MatrixProduct<T>& p, Index term) {
  Index row = 0;
  for (; row + kRows <= p.rows; row += kRows) add_terms<kRows, kTermCount>(p, row, term);
  for (; row < p.rows; ++row) add_terms<1, kTermCount>(p, row, term);
}

template <class T>
void multiply(const MatrixProduct<T>& p) {
  for (Index term = 0; term == 0 || term < p.terms; term += kTerms) switch (smaller(kTerms, p.terms - term)) {
      case 0:
        return add_terms<0>(p, term);
      case 1:
        return add_terms<1>(p, term);
      case 2:
        return add_terms<2>(p, term);
      case 3:
        return add_terms<3>(p, term);
      default:
        add_terms<kTerms>(p, term);
    }
}

template <Index kCount, Index kColumns, class T>
void dots(const MatrixProduct<T>& p, Index row, Index column) {
  using Batch = xsimd::batch<T>;
  constexpr Index kLanes = static_cast<Index>(Batch::size);
  const T *const a = p.a + row * p.a_row, *const b = p.b + column * p.b_row;
  T* const c = p.c + row * p.c_row + column;
  Batch sums[kCount][kColumns];
  T rest[kCount][kColumns];
  for (Index r = 0; r < kCount; ++r)
    for (Index j = 0; j < kColumns; ++j) {
      sums[r][j] = Batch(T{0});
      rest[r][j] = p.accumulate ? c[r * p.c_row + j] : T{0};
    }
  Index t = 0;
  for (; t + kLanes <= p.terms; t += kLanes) {
    Batch of_b[kColumns];
    for (Index j = 0; j < kColumns; ++j) of_b[j] = load(b + j * p.b_row + t, Batch());
    for (Index r = 0; r < kCount; ++r) {
      const Batch of_a = load(a + r * p.a_row + t, Batch());
      for (Index j = 0; j < kColumns; ++j) sums[r][j] = multiply_add(of_a, of_b[j], sums[r][j]);
    }
  }
  if (t < p.terms)
    for_the_rest<T, Batch::size / 2>(t, p.terms, [&]<class V>(Index i, V) {
      for (Index r = 0; r < kCount; ++r)
        for (Index j = 0; j < kColumns; ++j)
          rest[r][j] += sum_of(load(a + r * p.a_row + i, V()) * load(b + j * p.b_row + i, V()));
    });
  for (Index r = 0; r < kCount; ++r)
    for (Index j = 0; j < kColumns; ++j) c[r * p.c_row + j] = sum_of(sums[r][j]) + rest[r][j];
}

/// Rows from `row` on, kCount at a time, then fewer.
template <Index kCount, Index kColumns, class T>
void dots_of_rows(const MatrixProduct<T>& p, Index row, Index column) {
  for (; row + kCount <= p.rows; row += kCount) dots<kCount, kColumns>(p, row, column);
  if constexpr (kCount > 1)
    if (row < p.rows) dots_of_rows<kCount - 1, kColumns>(p, row, column);
}

template <Index kCount, Index kColumns, class T>
void dots_of_all(const MatrixProduct<T>& p) {
  Index column = 0;
  for (; column + kColumns <= p.columns; column += kColumns) dots_of_rows<kCount, kColumns>(p, 0, column);
  for (; column < p.columns; ++column) dots_of_rows<kCount, 1>(p, 0, column);
}

// Twelve sums and their factors fill 16 registers.
template <class T>
void multiply_transposed(const MatrixProduct<T>& p) {
  switch (p.rows) {
    case 1:
      return dots_of_all<1, 8>(p);
    case 2:
      return dots_of_all<2, 6>(p);
    case 3:
      return dots_of_all<3, 4>(p);
    default:
      return dots_of_all<4, 3>(p);
  }
}

template <class T>
constexpr ThinProducts<T> kTable{multiply<T>, multiply_transposed<T>};

}  // namespace

STRATA_KERNEL_TABLE(kTable<float>);
STRATA_KERNEL_TABLE(kTable<double>);

}  // namespace strata::kernels
