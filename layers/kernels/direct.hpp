// The inner loops of the direct convolution: a matrix product whose operands lie in an image.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// c[m, n] (+)= sum over o, i of a[m, (o, i)] b[(o, i), n], where the sum runs over `outer` x `inner` terms.
/// Rows of a and c come in lines, as the pixels of an image do: row m is row m % line_rows of line
/// m / line_rows. Rows of b and c are `columns` long, a multiple of PixelLayout::lanes.
struct Product {
  Index rows;
  Index line_rows;
  Index columns;
  Index outer;
  Index inner;

  const float* a;
  Index a_line;
  Index a_row;
  const Index* a_outer;  ///< where the terms (o, 0) are, from term (0, 0) of a row
  Index a_inner;

  const float* b;
  Index b_row;

  float* c;
  Index c_line;
  Index c_row;
  bool accumulate;  ///< whether to add to c
};

struct Direct {
  void (*multiply)(const Product& product);
};

}  // namespace strata::kernels
