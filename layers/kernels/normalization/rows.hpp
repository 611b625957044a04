// Normalization by rows, for sets of channels with a few elements each, as of a layer norm over features. A
// set is one row of runs * L consecutive elements of x; gamma and beta are spread out over their channels'
// elements, so that a row is worked through as a whole, whatever its runs are. Rows are never cut.
#pragma once

#include "strata/layers/kernels/normalization/normalization.hpp"
#include "strata/layers/kernels/normalization/terms.hpp"

namespace strata::normalization::rows {

/// For sets that do not span samples, with gamma and beta; without `pool`. Sets the statistics too, unless
/// they are frozen.
template <class T>
void forward(const Problem<T>& problem, const Output<T>& output, Statistics& statistics);

/// The same, without `unpool`.
template <class T>
void backward(const Problem<T>& problem, const Gradient<T>& gradient, const Statistics& statistics, T* dgamma,
              T* dbeta);

}  // namespace strata::normalization::rows
