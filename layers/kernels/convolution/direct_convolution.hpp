// Convolution without an im2col matrix, for float: with the channels innermost, what a row of the filter sees
// is contiguous, so that the sums can be formed in registers from the padded image itself.
#pragma once

#include "strata/layers/kernels/convolution/convolution.hpp"

namespace strata::kernels {

/// Whether these functions can compute it and are faster than the matrix products of im2col.
bool direct_applies(const ConvolutionShape& shape);
bool direct_applies_backward_data(const ConvolutionShape& shape);
/// Whether they can compute it with x and dx of pixels.
bool direct_takes_pixels(const ConvolutionShape& shape);

/// The reordered filters that direct_convolve takes.
Tensor<float> direct_filters(const ConvolutionShape& shape, const float* weight);
/// All images, here and below, are tensors'; of pixels only for a single group, and y or dx then take no
/// bias.
void direct_convolve(const ConvolutionShape& shape, const ImageSource<float>& x, const float* filters,
                     const float* bias, const ImageSink<float>& y);

void direct_convolve_backward_data(const ConvolutionShape& shape, const ImageSource<float>& dy,
                                   const float* weight, const float* bias, const ImageSink<float>& dx);

void direct_convolve_backward_weights(const ConvolutionShape& shape, const ImageSource<float>& x,
                                      const ImageSource<float>& dy, float* dweight);

}  // namespace strata::kernels
