// The one form that all algorithms have.
#pragma once

#include "strata/framework/tensor.hpp"
#include "strata/layers/kernels/convolution/image_stream.hpp"
#include "strata/layers/reference/convolution_shape.hpp"

namespace strata::kernels {

/// What an algorithm takes besides tensors of planes.
struct ImageAbilities {
  bool streams = false;      ///< images that are made as they are needed, and to be told when one is complete
  bool x_as_pixels = false;  ///< of x and dx
  bool y_as_pixels = false;  ///< of y and dy
  bool addend = false;       ///< for a y of pixels
};

/// A way to compute convolutions, as convolution.hpp describes them. `can`: whether it computes those of such
/// a shape, faster than the algorithms behind it in the list. Filters are the weights, or what `filters` made
/// of them.
template <class T>
struct ConvolutionAlgorithm {
  using Can = bool (*)(const ConvolutionShape& shape);

  const char* name;
  Can can_forward;
  void (*forward)(const ConvolutionShape& shape, const ImageSource<T>& x, const T* filters, const T* bias,
                  const ImageSink<T>& y);
  bool (*can_backward_data)(const ConvolutionShape& shape, ImageLayout dx);
  void (*backward_data)(const ConvolutionShape& shape, const ImageSource<T>& dy, const T* weight,
                        const T* bias, const ImageSink<T>& dx);
  Can can_backward_weights;
  void (*backward_weights)(const ConvolutionShape& shape, const ImageSource<T>& x, const ImageSource<T>& dy,
                           T* dweight);

  // What not every algorithm has:
  bool rectifies = false;  ///< forward does what the shape's `rectify` says
  Tensor<T> (*filters)(const ConvolutionShape& shape, const T* weight) = nullptr;
  /// The outputs of a tile, down and across. Filters for larger ones serve for smaller ones.
  Index (*tile)(const ConvolutionShape& shape) = nullptr;
  /// Of shapes that `can`; null if it takes tensors of planes alone.
  ImageAbilities (*abilities)(const ConvolutionShape& shape) = nullptr;
  /// Both gradients in less time than apart; dx may be x.
  void (*backward)(const ConvolutionShape& shape, const ImageSource<T>& x, const ImageSource<T>& dy,
                   const T* weight, T* dweight, const ImageSink<T>& dx) = nullptr;
};

extern const ConvolutionAlgorithm<float> kWinograd, kPointwise, kDirect, kDepthwise, kGrouped, kGemm;
extern const ConvolutionAlgorithm<double> kGemmOfDoubles;

}  // namespace strata::kernels
