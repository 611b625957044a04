// Products of matrices that fit the cache.
#pragma once

#include "strata/framework/index.hpp"
#include "strata/framework/runtime/blas.hpp"

namespace strata::kernels {

/// c = a b, or c += a b: a (rows, terms), b (terms, columns), c (rows, columns).
template <class T>
struct MatrixProduct {
  Index rows;
  Index terms;
  Index columns;
  const T* a;  ///< a[m, t] = a[m * a_row + t * a_term], one of the two being 1
  Index a_row;
  Index a_term;
  const T* b;  ///< row-major, as c
  Index b_row;
  T* c;
  Index c_row;
  bool accumulate;
};

/// Multiply-adds of the largest product that OpenBLAS takes as it lies, by code of its own for AVX-512. It
/// copies both factors of others into an order of its own first.
constexpr Index kSmallProduct = 1000 * 1000;

/// By OpenBLAS; `of_b`: whether b is stored as (columns, terms).
template <class T>
void multiply_by_blas(const MatrixProduct<T>& product, Transpose of_b = Transpose::no);

/// By the inner loops of the direct convolution, which copy nothing. Rows of b and c begin at vectors and go
/// on to the next multiple of PixelLayout::lanes, where c has no meaning.
void multiply_directly(const MatrixProduct<float>& product);

/// By the faster of the two with the instruction set in use, for such rows.
void multiply(const MatrixProduct<float>& product);

}  // namespace strata::kernels
