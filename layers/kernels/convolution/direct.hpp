// The inner loops of the direct convolution: a matrix product whose operands lie in an image.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// Where a run of terms starts.
struct Run {
  Index a;  ///< in every row of a
  Index b;  ///< the row of b
};

/// c[m, n] (+)= sum over the terms t of a[m, t] b[t, n]. Terms come in runs of one length. Then bias is
/// added, if there is one, and what is negative becomes 0, if `rectify`. Rows of a and c come in lines, as
/// the pixels of an image do: row m is row m % line_rows of line m / line_rows. Rows of b and c are `columns`
/// long, a multiple of PixelLayout::lanes.
struct Product {
  Index rows;
  Index line_rows;
  Index columns;
  Index run_count;
  Index run_length;
  const Run* runs;

  const float* a;
  Index a_line;
  Index a_row;
  Index a_term;  ///< from one term of a run to the next; in b that is the next row

  const float* b;
  Index b_row;

  float* c;
  Index c_line;
  Index c_row;
  bool accumulate;              ///< whether to add to c
  const float* bias = nullptr;  ///< one for each column
  bool rectify = false;
};

struct Direct {
  void (*multiply)(const Product& product);
};

}  // namespace strata::kernels
