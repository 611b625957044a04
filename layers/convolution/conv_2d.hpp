// Conv2D: two-dimensional convolution.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/convolution/convolution_layer.hpp"

namespace STRATA_EXPORT strata {

struct Conv2DOptions {
  Size2D stride = 1;
  Size2D padding = 0;  ///< zeros on each side
  Size2D dilation = 1;
  Index groups = 1;
  bool bias = true;
  /// Lets float 3x3 and 5x5 kernels of stride 1 run by Winograd's algorithm where it pays: two to four times
  /// as fast. Double never uses it. It rounds more: relative errors (l2, normal data) are at most 1e-6 and
  /// 5e-6 for up to 64 channels, and 2.5e-6 and 1e-5 for 512, where a plain sum's are 5e-7 to 2e-6. And it
  /// mixes what a tile of 4x4 results (or 2x2) sees: one NaN or infinity there can make all of them NaN, and
  /// all err relative to the largest value, so that next to one a million times larger no digits are left.
  /// With false a value reaches the windows that see it and no others.
  bool winograd = true;
};

/// Cross-correlation, as everywhere in deep learning:
///
///     y[n,k,p,q] = b[k] + sum over c,i,j of w[k,c,i,j] x[n, c, p*stride - padding + i*dilation, q*… + j*…]
///
/// x (N, in, H, W); y (N, out, P, Q), P = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1, rounded
/// down; weight (out, in / groups, kernel.h, kernel.w); bias (out). With groups, output channel k sees the
/// input channels of its group alone.
/// Backward: dx is the transposed convolution of dy with w, dw the correlation of x with dy, db the sum of
/// dy.
/// Starts as PyTorch's: weight and bias uniform in +-1/sqrt(in / groups * kernel.h * kernel.w).
template <class T>
class Conv2D final : public ConvolutionLayer<T> {
 public:
  /// Throws ArgumentError for a count, kernel, stride or dilation below 1, a negative padding, and groups
  /// that do not divide both counts.
  Conv2D(Index in_channels, Index out_channels, Size2D kernel, Conv2DOptions options = {});

  /// Throws ShapeError for an empty batch or image, other channels, or a kernel larger than the padded image.
  Shape output_shape(const Shape& input) const override;
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Conv2D>(*this); }
  std::string type() const override { return "Conv2D"; }
  kernels::ConvolutionShape geometry(const Shape& input) const override;

 protected:
  Tensor<T> apply(const Tensor<T>& x) const override;
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  void do_backward_parameters(Tensor<T> dy, Record& record) override;
};

extern template class Conv2D<float>;

}  // namespace strata
