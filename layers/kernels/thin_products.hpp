// Products of a large matrix with a thin one, such as a fully connected layer's for a few samples: the large
// one goes by once, as it lies.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// Of a (rows, terms), b and c (rows, columns). a[m, t] = a[m * a_row + t * a_term].
template <class T>
struct ThinProduct {
  Index rows;
  Index terms;
  Index columns;
  const T* a;
  Index a_row;
  Index a_term;
  const T* b;
  Index b_row;
  T* c;
  Index c_row;
};

template <class T>
struct ThinProducts {
  /// c = a b. b is (terms, columns). For a few rows or a few terms.
  void (*multiply)(const ThinProduct<T>& product);
  /// c = a b^T + bias, which may be null. b is (columns, terms), and a_term 1. For a few rows.
  void (*multiply_transposed)(const ThinProduct<T>& product, const T* bias);
};

}  // namespace strata::kernels
