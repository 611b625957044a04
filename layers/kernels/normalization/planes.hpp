// Normalization by planes, for sets that are one run each: of an instance norm, of a batch norm over a single
// sample, or of any groups of channels that gamma does not tell apart. A piece of work is some whole sets,
// each of which is read from memory but once.
#pragma once

#include "strata/layers/kernels/normalization/normalization.hpp"
#include "strata/layers/kernels/normalization/terms.hpp"

namespace strata::normalization::planes {

/// Whether the problem is one for forward and backward here; `whole_runs`: with `pool` or `unpool`.
template <class T>
bool suits(const Problem<T>& problem, bool whole_runs);

/// Sets the statistics too.
template <class T>
void forward(const Problem<T>& problem, const Output<T>& output, Statistics& statistics);

template <class T>
void backward(const Problem<T>& problem, const Gradient<T>& gradient, const Statistics& statistics, T* dgamma,
              T* dbeta);

}  // namespace strata::normalization::planes
