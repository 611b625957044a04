// A convolution as it runs in Inference: with the normalization and the ReLU behind it, or the sum that takes
// its value.
#pragma once

#include "strata/framework/graph/step.hpp"

namespace strata::fusion {

/// For nodes Conv2D, perhaps a norm with running statistics, and perhaps ReLU or else an Add of two values
/// and perhaps ReLU; else null.
///
/// y = max(scale[k] conv(x)[k] + offset[k] + other, 0): a normalization whose statistics are frozen is a
/// linear map of each channel, so that its scale goes into the filters and its offset into the bias, once for
/// each network. The filters are brought into their algorithm's form once for all shapes that it serves.
template <class T>
std::unique_ptr<InferenceStep<T>> folded_convolution(Stretch<T> nodes, std::size_t first, Prepared& prepared);

}  // namespace strata::fusion
