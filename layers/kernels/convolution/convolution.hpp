// Two-dimensional convolution and its two derivatives, on plain pointers. Conv2D and ConvTranspose2D are made
// of these three: each is the other's derivative.
//
// What runs is the first of these algorithms that can; each says at the top of its file what its tricks are
// for, from the plain loops of layers/reference/convolution.hpp up.
//
//   winograd   3x3 and 5x5 of stride 1: a quarter to a sixth of the multiplications
//   pointwise  1x1: a matrix product as it is, of panels that stay in the cache
//   direct     others of enough channels: products of the padded image itself, no im2col matrix
//   depthwise  a filter for each narrow plane: whole planes as single rows
//   grouped    groups of few channels, which fill no vectors: vectors of columns instead
//   gemm       everything, float and double: im2col and OpenBLAS
#pragma once

#include <string>
#include <type_traits>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/tensor.hpp"
#include "strata/layers/kernels/convolution/algorithms.hpp"
#include "strata/layers/kernels/convolution/image_stream.hpp"
#include "strata/layers/reference/convolution_shape.hpp"

namespace strata::kernels {

/// The name of the algorithm that runs: "gemm", …
template <class T>
std::string convolution_algorithm(const ConvolutionShape& shape);

/// What it takes besides tensors of planes, to which a pointer converts.
template <class T>
ImageAbilities image_abilities(const ConvolutionShape& shape);
template <class T>
using Images = std::type_identity_t<ImageSource<T>>;
template <class T>
using ImagesTo = std::type_identity_t<ImageSink<T>>;

/// Weights in the form that the algorithm for `shape` wants. `weight` has to stay.
template <class T>
class ConvolutionFilters {
 public:
  ConvolutionFilters(const ConvolutionShape& shape, const T* weight);
  /// Whether they are what this shape of the same layer needs too.
  bool serve(const ConvolutionShape& shape) const;
  /// Whether `convolve` takes an addend, for a y of this layout.
  bool take_addend(const ConvolutionShape& shape, ImageLayout y) const;
  /// y from x; `bias` may be null.
  void convolve(const ConvolutionShape& shape, const ImageSource<T>& x, const T* bias,
                const ImageSink<T>& y) const;

 private:
  const ConvolutionAlgorithm<T>* algorithm_;
  InstructionSet set_;
  const T* weight_;
  Tensor<T> packed_;  // empty for an algorithm that takes the weights as they are
  Index tile_;        // 0 for an algorithm without tiles
};

/// y from x; `bias` may be null.
template <class T>
void convolve(const ConvolutionShape& shape, const Images<T>& x, const T* weight,
              const std::type_identity_t<T>* bias, const ImagesTo<T>& y);

/// dx[n,c,…] = bias[c] + sum over k,i,j of weight[k,c,i,j] dy[n,k,…]; `bias` may be null, and has to be for a
/// dx of pixels.
template <class T>
void convolve_backward_data(const ConvolutionShape& shape, const Images<T>& dy, const T* weight,
                            const std::type_identity_t<T>* bias, const ImagesTo<T>& dx);

/// dweight from x and dy.
template <class T>
void convolve_backward_weights(const ConvolutionShape& shape, const Images<T>& x, const Images<T>& dy,
                               T* dweight);

/// Both, without a bias; dx may be null, and may be x if that is a tensor of the same layout.
template <class T>
void convolve_backward(const ConvolutionShape& shape, const Images<T>& x, const Images<T>& dy,
                       const T* weight, T* dweight, const ImagesTo<T>& dx);

}  // namespace strata::kernels
