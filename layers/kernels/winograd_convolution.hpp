// 3x3 and 5x5 convolution with stride 1 by Winograd's algorithm (winograd.hpp), for float.
#pragma once

#include "strata/layers/kernels/convolution.hpp"

namespace strata::kernels {

/// Whether these functions can compute it and are faster than the others.
bool winograd_applies(const ConvolutionShape& shape);

/// The transformed filters that winograd_convolve takes.
Tensor<float> winograd_filters(const ConvolutionShape& shape, const float* weight);
void winograd_convolve(const ConvolutionShape& shape, const float* x, const float* filters, const float* bias,
                       float* y);

void winograd_convolve_backward_data(const ConvolutionShape& shape, const float* dy, const float* weight,
                                     const float* bias, float* dx);

void winograd_convolve_backward_weights(const ConvolutionShape& shape, const float* x, const float* dy,
                                        float* dweight);

/// Both; dx may be x.
void winograd_convolve_backward(const ConvolutionShape& shape, const float* x, const float* dy,
                                const float* weight, float* dweight, float* dx);

}  // namespace strata::kernels
