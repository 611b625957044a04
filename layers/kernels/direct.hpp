// The inner loops of the direct convolution: a matrix product whose operands lie in an image.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// c[m, n] (+)= sum over o, i of a[m, (o, i)] b[(o, i), n], where the sum runs over `outer` x `inner` terms
/// and every stride is free. Rows of b and c are `columns` long, a multiple of PixelLayout::lanes.
struct Product {
  Index rows;
  Index columns;
  Index outer;
  Index inner;

  const float* a;
  Index a_row;
  Index a_outer;
  Index a_inner;

  const float* b;
  Index b_outer;
  Index b_inner;

  float* c;
  Index c_row;
  bool accumulate;  ///< whether to add to c
};

struct Direct {
  void (*multiply)(const Product& product);
};

}  // namespace strata::kernels
