// Products of a large matrix with a thin one, such as a fully connected layer's for a few samples: the large
// one goes by once, as it lies.
#pragma once

#include "strata/layers/kernels/product/matrix_product.hpp"

namespace strata::kernels {

template <class T>
struct ThinProducts {
  /// For a few rows or a few terms.
  void (*multiply)(const MatrixProduct<T>& product);
  /// For a few rows; b is stored as (columns, terms), and a_term is 1.
  void (*multiply_transposed)(const MatrixProduct<T>& product);
};

}  // namespace strata::kernels
