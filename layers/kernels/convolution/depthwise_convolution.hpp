// Depthwise convolution of stride 1 whose results have the size of its planes (depthwise.hpp), for float.
#pragma once

#include "strata/layers/kernels/convolution/convolution.hpp"

namespace strata::kernels {

/// Whether these functions can compute it and are faster than the others: a filter for each channel, of
/// narrow planes.
bool depthwise_applies(const ConvolutionShape& shape);

void depthwise_convolve(const ConvolutionShape& shape, const float* x, const float* weight, const float* bias,
                        float* y);

void depthwise_convolve_backward_data(const ConvolutionShape& shape, const float* dy, const float* weight,
                                      const float* bias, float* dx);

void depthwise_convolve_backward_weights(const ConvolutionShape& shape, const float* x, const float* dy,
                                         float* dweight);

}  // namespace strata::kernels
