// Convolution by kernels of one pixel, for float: a matrix product of the weights and the planes, of which
// some positions at a time are laid side by side.
#pragma once

#include "strata/layers/kernels/convolution/convolution.hpp"

namespace strata::kernels {

/// Whether these functions can compute it and are faster than OpenBLAS.
bool pointwise_applies(const ConvolutionShape& shape);
bool pointwise_applies_backward_weights(const ConvolutionShape& shape);

void pointwise_convolve(const ConvolutionShape& shape, const float* x, const float* weight, const float* bias,
                        float* y);

void pointwise_convolve_backward_data(const ConvolutionShape& shape, const float* dy, const float* weight,
                                      const float* bias, float* dx);

void pointwise_convolve_backward_weights(const ConvolutionShape& shape, const float* x, const float* dy,
                                         float* dweight);

}  // namespace strata::kernels
