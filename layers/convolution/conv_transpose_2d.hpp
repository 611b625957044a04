// ConvTranspose2D: transposed convolution.
#pragma once

#include <optional>

#include "strata/framework/layer.hpp"
#include "strata/framework/size_2d.hpp"

namespace strata {

namespace kernels {
struct ConvolutionShape;
}

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
class ConvTranspose2D final : public Layer<T> {
 public:
  /// Throws ArgumentError for a count, kernel, stride or dilation below 1, a negative padding, groups that do
  /// not divide both counts, and an output_padding not smaller than stride or dilation.
  ConvTranspose2D(Index in_channels, Index out_channels, Size2D kernel, ConvTranspose2DOptions options = {});

  Parameter<T>& weight() { return weight_; }
  /// Throws StateError if the layer has none.
  Parameter<T>& bias();

  /// How this input is computed: "winograd 4x4" (or 2x2), "direct", "depthwise", "grouped",
  /// "pointwise" or "gemm".
  std::string algorithm(const Shape& input) const override;

  /// Throws ShapeError for an empty batch or image, other channels, or an image so small that padding
  /// leaves no output.
  Shape output_shape(const Shape& input) const override;
  std::uint64_t multiply_adds(const Shape& input) const override;
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<ConvTranspose2D>(*this); }
  std::string type() const override { return "ConvTranspose2D"; }
  std::string options() const override;

 protected:
  Tensor<T> do_forward(Tensor<T> x) override;
  Tensor<T> do_backward(Tensor<T> dy) override;
  void do_backward_parameters(Tensor<T> dy) override;
  Tensor<T> do_infer(Tensor<T> x) const override;
  std::vector<Parameter<T>*> own_parameters() override;
  void reset_parameters(Random& random) override;

 private:
  kernels::ConvolutionShape convolution(const Shape& input) const;
  Tensor<T> apply(const Tensor<T>& x) const;
  void compute_parameter_gradients(const Tensor<T>& dy);

  Index in_;
  Index out_;
  Size2D kernel_;
  ConvTranspose2DOptions options_;
  Parameter<T> weight_;
  std::optional<Parameter<T>> bias_;
  Tensor<T> x_;
};

extern template class ConvTranspose2D<float>;

}  // namespace strata
