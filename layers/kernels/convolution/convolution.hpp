// Two-dimensional convolution and its two derivatives, on plain pointers. Conv2D and ConvTranspose2D are made
// of these three: each is the other's derivative.
#pragma once

#include <string>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/tensor.hpp"
#include "strata/layers/kernels/convolution/convolution_shape.hpp"
#include "strata/layers/kernels/convolution/image_stream.hpp"

namespace strata::kernels {

/// The name of the algorithm that runs: "gemm", …
template <class T>
std::string convolution_algorithm(const ConvolutionShape& shape);

enum class ConvolutionAlgorithm { gemm, direct, grouped, depthwise, pointwise, winograd };

/// Weights in the form that the algorithm for `shape` wants. `weight` has to stay.
template <class T>
class ConvolutionFilters {
 public:
  ConvolutionFilters(const ConvolutionShape& shape, const T* weight);
  /// Whether they are what this shape of the same layer needs too.
  bool serve(const ConvolutionShape& shape) const;
  /// Whether `convolve` takes an addend, for a y of this layout.
  bool take_addend(const ConvolutionShape& shape, ImageLayout y) const;
  /// y from x, tensors in layouts that image_abilities allows; `bias` may be null.
  void convolve(const ConvolutionShape& shape, const ImageSource<T>& x, const T* bias,
                const ImageSink<T>& y) const;

 private:
  ConvolutionAlgorithm algorithm_;
  InstructionSet set_;
  const T* weight_;
  Tensor<T> packed_;  // empty for an algorithm that takes the weights as they are
  Index tile_ = 0;    // the largest for which they are, with Winograd's algorithm
};

/// y from x; `bias` may be null.
template <class T>
void convolve(const ConvolutionShape& shape, const T* x, const T* weight, const T* bias, T* y);

/// dx[n,c,…] = bias[c] + sum over k,i,j of weight[k,c,i,j] dy[n,k,…]; `bias` may be null.
template <class T>
void convolve_backward_data(const ConvolutionShape& shape, const T* dy, const T* weight, const T* bias,
                            T* dx);

/// dweight from x and dy.
template <class T>
void convolve_backward_weights(const ConvolutionShape& shape, const T* x, const T* dy, T* dweight);

/// Both, without a bias; dx may be x.
template <class T>
void convolve_backward(const ConvolutionShape& shape, const T* x, const T* dy, const T* weight, T* dweight,
                       T* dx);

/// What the functions below take besides tensors of planes.
struct ImageAbilities {
  bool streams = false;      ///< images that are made as they are needed, and to be told when one is complete
  bool x_as_pixels = false;  ///< of x and dx
  bool y_as_pixels = false;  ///< of y and dy
};
template <class T>
ImageAbilities image_abilities(const ConvolutionShape& shape);

/// As above. dx may be null, and may be x if that is a tensor of the same layout.
template <class T>
void convolve_images(const ConvolutionShape& shape, const ImageSource<T>& x, const T* weight, const T* bias,
                     const ImageSink<T>& y);
template <class T>
void convolve_images_backward(const ConvolutionShape& shape, const ImageSource<T>& x,
                              const ImageSource<T>& dy, const T* weight, T* dweight, const ImageSink<T>& dx);

/// sums[c] = sum over n,i of dy[n,c,i] for dy (batch, channels, size).
template <class T>
void sum_per_channel(Index batch, Index channels, Index size, const T* dy, T* sums);

}  // namespace strata::kernels
