// What Conv2D and ConvTranspose2D have in common: each is the other's derivative.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/size_2d.hpp"
#include "strata/layers/weighted_layer.hpp"

namespace STRATA_EXPORT strata {

namespace kernels {
struct ConvolutionShape;
}

/// All options of both layers.
struct ConvolutionOptions {
  Index in_channels;
  Index out_channels;
  Size2D kernel;
  Size2D stride;
  Size2D padding;
  Size2D output_padding;
  Size2D dilation;
  Index groups;
  bool bias;
  bool winograd;
};

/// Base of the two convolutions.
template <class T>
class ConvolutionLayer : public WeightedLayer<T> {
 public:
  /// How this input is computed: "winograd 4x4" (or 2x2), "direct", "depthwise", "grouped",
  /// "pointwise" or "gemm".
  std::string algorithm(const Shape& input) const override;
  std::uint64_t multiply_adds(const Shape& input) const override;
  bool is_per_sample() const override { return true; }
  /// "3 -> 32, kernel 3x3, padding 1, no bias": what differs from the defaults.
  std::string options() const override;

  /// The convolution that the layer computes for this input, or transposes, as the kernels take it.
  virtual kernels::ConvolutionShape geometry(const Shape& input) const = 0;

 protected:
  /// Throws ArgumentError, in the name of the class `type`. `weight`: its first two axes.
  ConvolutionLayer(const char* type, const ConvolutionOptions& options, Index weight_rows,
                   Index weight_columns);

  /// From x to y.
  kernels::ConvolutionShape geometry_between(const Shape& x, const Shape& y) const;
  /// Throws ShapeError unless it is a batch of images with as many channels as the layer takes.
  void check_images(const Shape& input) const;
  const ConvolutionOptions& all_options() const { return options_; }

 private:
  ConvolutionOptions options_;
};

extern template class ConvolutionLayer<float>;

}  // namespace strata
