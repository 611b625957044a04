// 3x3 and 5x5 convolution with stride 1 by Winograd's algorithm (winograd.hpp), for float.
#pragma once

#include "strata/layers/kernels/convolution/convolution.hpp"
#include "strata/layers/kernels/convolution/image_stream.hpp"

namespace strata::kernels {

/// Whether these functions can compute it and are faster than the others.
bool winograd_applies(const ConvolutionShape& shape);

/// The outputs of a tile, down and across: 4, or 2 where there are few.
Index winograd_tile(const ConvolutionShape& shape);

/// Whether images may be made as they are needed, and are given on as they are complete: where blocks are
/// whole images, and more than one.
bool winograd_streams(const ConvolutionShape& shape);

/// The transformed filters that winograd_convolve takes.
Tensor<float> winograd_filters(const ConvolutionShape& shape, const float* weight);
/// Whether winograd_convolve takes an addend for a y of pixels.
bool winograd_takes_addend(const ConvolutionShape& shape);
/// Sources and sinks that are more than tensors, here and below: only if it streams.
void winograd_convolve(const ConvolutionShape& shape, const ImageSource<float>& x, const float* filters,
                       const float* bias, const ImageSink<float>& y);

void winograd_convolve_backward_data(const ConvolutionShape& shape, const ImageSource<float>& dy,
                                     const float* weight, const float* bias, const ImageSink<float>& dx);

void winograd_convolve_backward_weights(const ConvolutionShape& shape, const ImageSource<float>& x,
                                        const ImageSource<float>& dy, float* dweight);

/// Both; dx may be x, if that is a tensor.
void winograd_convolve_backward(const ConvolutionShape& shape, const ImageSource<float>& x,
                                const ImageSource<float>& dy, const float* weight, float* dweight,
                                const ImageSink<float>& dx);

}  // namespace strata::kernels
