// Products of matrices that fit the cache.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// c (rows, columns) = a b, or c += a b. b and c are row-major; their rows begin at vectors and go on, with
/// zeros in b, to the next multiple of PixelLayout::lanes.
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
void multiply(const MatrixProduct& product);

}  // namespace strata::kernels
