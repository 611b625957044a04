// ConvTranspose2D: transposed convolution.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/convolution/convolution_layer.hpp"

namespace STRATA_EXPORT strata {

struct ConvTranspose2DOptions {
  Size2D stride = 1;
  Size2D padding = 0;         ///< cut off on each side of the output
  Size2D output_padding = 0;  ///< added to the output's size at the bottom and on the right
  Size2D dilation = 1;
  Index groups = 1;
  bool bias = true;
  bool winograd = true;  ///< as for Conv2D
};

/// The transposed map of a Conv2D with the same options (Zeiler et al., CVPR 2010): every input pixel paints
/// the kernel, scaled by its value, onto the output.
///
///     y[n, k, p*stride - padding + i*dilation, q*… + j*…] += w[c,k,i,j] x[n,c,p,q], starting from b[k]
///
/// x (N, in, H, W); y (N, out, P, Q), P = (H - 1) stride - 2 padding + dilation (kernel - 1) + output_padding
/// + 1; weight (in, out / groups, kernel.h, kernel.w), as PyTorch; bias (out).
/// Backward: dx is the convolution of dy with w, dw the correlation of dy with x, db the sum of dy.
/// Starts as PyTorch's: weight and bias uniform in +-1/sqrt(out / groups * kernel.h * kernel.w).
template <class T>
class ConvTranspose2D final : public ConvolutionLayer<T> {
 public:
  /// Throws ArgumentError for a count, kernel, stride or dilation below 1, a negative padding, groups that do
  /// not divide both counts, and an output_padding not smaller than stride or dilation.
  ConvTranspose2D(Index in_channels, Index out_channels, Size2D kernel, ConvTranspose2DOptions options = {});

  /// Throws ShapeError for an empty batch or image, other channels, or an image so small that padding
  /// leaves no output.
  Shape output_shape(const Shape& input) const override;
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<ConvTranspose2D>(*this); }
  std::string type() const override { return "ConvTranspose2D"; }
  /// Of the convolution that this layer transposes: from y to x.
  kernels::ConvolutionShape geometry(const Shape& input) const override;

 protected:
  Tensor<T> apply(const Tensor<T>& x) const override;
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  void do_backward_parameters(Tensor<T> dy, Record& record) override;

 private:
  void set_parameter_gradients(const Tensor<T>& x, const Tensor<T>& dy);
};

extern template class ConvTranspose2D<float>;

}  // namespace strata
