// The gradient of a bias.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// sums[c] = sum over n,i of dy[n,c,i] for dy (batch, channels, size). No more than 1,024 terms are added in
/// T before they go to double.
template <class T>
void sum_per_channel(Index batch, Index channels, Index size, const T* dy, T* sums);

}  // namespace strata::kernels
