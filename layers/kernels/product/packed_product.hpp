// Products of matrices that lie anyhow, block by block.
#pragma once

#include "strata/layers/kernels/product/matrix_product.hpp"

namespace strata::kernels {

/// By the inner loops of the direct convolution, on copies of blocks of b and, where it pays, of a; `of_b`:
/// whether b is stored as (columns, terms). Any alignment.
void multiply_packed(const MatrixProduct<float>& product, Transpose of_b = Transpose::no);

/// By OpenBLAS or as above, whichever is faster for its extents with the instruction set in use.
void multiply_general(const MatrixProduct<float>& product, Transpose of_b = Transpose::no);
/// By OpenBLAS.
void multiply_general(const MatrixProduct<double>& product, Transpose of_b = Transpose::no);

}  // namespace strata::kernels
