// Convolution as matrix products (im2col): any type and any options; the accurate and general way.
#pragma once

#include "strata/layers/kernels/convolution/convolution.hpp"

namespace strata::kernels {

template <class T>
void gemm_convolve(const ConvolutionShape& shape, const T* x, const T* weight, const T* bias, T* y);

template <class T>
void gemm_convolve_backward_data(const ConvolutionShape& shape, const T* dy, const T* weight, const T* bias,
                                 T* dx);

template <class T>
void gemm_convolve_backward_weights(const ConvolutionShape& shape, const T* x, const T* dy, T* dweight);

}  // namespace strata::kernels
