// Convolution with groups of few channels, depthwise above all, for float: planes are convolved as they lie,
// a vector of neighboring columns at a time.
#pragma once

#include "strata/layers/kernels/convolution/convolution.hpp"

namespace strata::kernels {

/// Whether these functions are faster than the others; they can compute any convolution.
bool grouped_applies(const ConvolutionShape& shape);

void grouped_convolve(const ConvolutionShape& shape, const float* x, const float* weight, const float* bias,
                      float* y);

void grouped_convolve_backward_data(const ConvolutionShape& shape, const float* dy, const float* weight,
                                    const float* bias, float* dx);

void grouped_convolve_backward_weights(const ConvolutionShape& shape, const float* x, const float* dy,
                                       float* dweight);

}  // namespace strata::kernels
