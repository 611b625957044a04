#include "strata/layers/convolution/convolution_options.hpp"

#include <algorithm>

#include "strata/framework/error.hpp"
#include "strata/framework/shape.hpp"

namespace strata::detail {
namespace {

void check_range(Index minimum, const Size2D& size, const std::string& type, const char* name) {
  const bool small = std::min(size.h, size.w) < minimum;
  if (small || std::max(size.h, size.w) > kLargestSize)
    throw ArgumentError(type + ": " + name + " must be " +
                        (small ? "at least " + std::to_string(minimum) : "below 2^31") + ", got " +
                        to_string(size));
}

std::string unless_default(const char* name, const Size2D& size, Index usual) {
  if (size == Size2D(usual)) return "";
  return std::string(", ") + name + " " + (size.h == size.w ? std::to_string(size.h) : to_string(size));
}

}  // namespace

void check(const ConvolutionOptions& o, const std::string& type) {
  if (o.in_channels < 1 || o.out_channels < 1)
    throw ArgumentError(type + ": expected at least 1 channel in and out, got " +
                        std::to_string(o.in_channels) + " -> " + std::to_string(o.out_channels));
  check_range(1, o.kernel, type, "kernel");
  check_range(1, o.stride, type, "stride");
  check_range(0, o.padding, type, "padding");
  check_range(0, o.output_padding, type, "output_padding");
  check_range(1, o.dilation, type, "dilation");
  if (o.groups < 1 || o.in_channels % o.groups != 0 || o.out_channels % o.groups != 0)
    throw ArgumentError(type + ": groups must divide both channel counts, got " + std::to_string(o.groups) +
                        " groups for " + std::to_string(o.in_channels) + " -> " +
                        std::to_string(o.out_channels));
  if (!checked_shape({o.out_channels, o.in_channels / o.groups, o.kernel.h, o.kernel.w}))
    throw ArgumentError(type + ": expected fewer than 2^63 weights, got " + to_string(o));
  if (o.output_padding.h >= std::max(o.stride.h, o.dilation.h) ||
      o.output_padding.w >= std::max(o.stride.w, o.dilation.w))
    throw ArgumentError(type + ": output_padding must be smaller than stride or dilation, got " +
                        to_string(o.output_padding) + " with stride " + to_string(o.stride) +
                        " and dilation " + to_string(o.dilation));
}

std::string to_string(const ConvolutionOptions& o) {
  return std::to_string(o.in_channels) + " -> " + std::to_string(o.out_channels) + ", kernel " +
         to_string(o.kernel) + unless_default("stride", o.stride, 1) +
         unless_default("padding", o.padding, 0) + unless_default("output padding", o.output_padding, 0) +
         unless_default("dilation", o.dilation, 1) +
         (o.groups == 1 ? "" : ", groups " + std::to_string(o.groups)) + (o.bias ? "" : ", no bias");
}

}  // namespace strata::detail
