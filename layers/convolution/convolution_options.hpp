// What Conv2D and ConvTranspose2D have in common: the check and the text of their options.
#pragma once

#include <string>

#include "strata/framework/size_2d.hpp"

namespace strata::detail {

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
};

/// Throws ArgumentError, in the name of the class `type`.
void check(const ConvolutionOptions& options, const std::string& type);

/// "3 -> 32, kernel 3x3, padding 1, no bias": what differs from the defaults.
std::string to_string(const ConvolutionOptions& options);

}  // namespace strata::detail
