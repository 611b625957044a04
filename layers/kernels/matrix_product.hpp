// Products of matrices that fit the cache.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// c (rows, columns) = a b, or c += a b. b and c are row-major; their rows begin at vectors and go on to the
/// next multiple of PixelLayout::lanes, where c has no meaning.
struct MatrixProduct {
  Index rows;
  Index terms;
  Index columns;
  const float* a;  ///< a[m, t] = a[m * a_row + t * a_term], one of the two being 1
  Index a_row;
  Index a_term;
  const float* b;
  Index b_row;
  float* c;
  Index c_row;
  bool accumulate;
};
/// By what is faster with the instruction set in use, OpenBLAS or the loops of `multiply_directly`.
void multiply(const MatrixProduct& product);
/// By the inner loops of the direct convolution, which copy nothing.
void multiply_directly(const MatrixProduct& product);

}  // namespace strata::kernels
