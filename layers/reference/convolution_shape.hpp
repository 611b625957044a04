// The extents of a convolution, which its reference and its kernels take.
#pragma once

#include "strata/framework/size_2d.hpp"

namespace strata::kernels {

/// The extents of y[n,k,p,q] = bias[k] + sum over c,i,j of weight[k,c,i,j] x[n,c,p*stride.h - padding.h +
/// i*dilation.h, …] where x is (batch, in_channels, in.h, in.w), y is (batch, out_channels, out.h, out.w) and
/// weight is (out_channels, in_channels / groups, kernel.h, kernel.w). What lies outside x counts as zero.
struct ConvolutionShape {
  Index batch;
  Index in_channels;
  Size2D in;
  Index out_channels;
  Size2D out;
  Size2D kernel;
  Size2D stride;
  Size2D padding;
  Size2D dilation;
  Index groups;
  bool winograd;         ///< whether algorithms may be used that round more than a plain sum does
  bool rectify = false;  ///< of `convolve`: y, addend included, is 0 where it would be negative

  Index in_size() const { return in.h * in.w; }
  Index out_size() const { return out.h * out.w; }
  Index group_in_channels() const { return in_channels / groups; }
  Index group_out_channels() const { return out_channels / groups; }
  /// Weights of one output channel.
  Index filter_size() const { return group_in_channels() * kernel.h * kernel.w; }
};

}  // namespace strata::kernels
