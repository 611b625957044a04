#include "strata/layers/convolution/convolution_layer.hpp"

#include <algorithm>

#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/convolution/convolution.hpp"

namespace strata {
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

// "3 -> 32, kernel 3x3, padding 1, no bias": what differs from the defaults.
std::string describe(const ConvolutionOptions& o) {
  return std::to_string(o.in_channels) + " -> " + std::to_string(o.out_channels) + ", kernel " +
         to_string(o.kernel) + unless_default("stride", o.stride, 1) +
         unless_default("padding", o.padding, 0) + unless_default("output padding", o.output_padding, 0) +
         unless_default("dilation", o.dilation, 1) +
         (o.groups == 1 ? "" : ", groups " + std::to_string(o.groups)) + (o.bias ? "" : ", no bias") +
         (o.winograd ? "" : ", no Winograd");
}

// Throws ArgumentError, in the name of the class `type`.
const ConvolutionOptions& checked(const ConvolutionOptions& o, const std::string& type) {
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
  if (!detail::checked_shape({o.out_channels, o.in_channels / o.groups, o.kernel.h, o.kernel.w}))
    throw ArgumentError(type + ": expected fewer than 2^63 weights, got " + describe(o));
  if (o.output_padding.h >= std::max(o.stride.h, o.dilation.h) ||
      o.output_padding.w >= std::max(o.stride.w, o.dilation.w))
    throw ArgumentError(type + ": output_padding must be smaller than stride or dilation, got " +
                        to_string(o.output_padding) + " with stride " + to_string(o.stride) +
                        " and dilation " + to_string(o.dilation));
  return o;
}

}  // namespace

template <class T>
ConvolutionLayer<T>::ConvolutionLayer(const char* type, const ConvolutionOptions& options, Index weight_rows,
                                      Index weight_columns)
    : WeightedLayer<T>(
          {static_cast<std::size_t>(weight_rows),
           static_cast<std::size_t>(weight_columns / checked(options, type).groups),
           static_cast<std::size_t>(options.kernel.h), static_cast<std::size_t>(options.kernel.w)},
          options.out_channels, options.bias),
      options_(options) {}

template <class T>
void ConvolutionLayer<T>::check_images(const Shape& input) const {
  if (input.size() != 4 || static_cast<Index>(input[1]) != options_.in_channels || input[0] == 0)
    this->fail_shape("(N, " + std::to_string(options_.in_channels) + ", H, W) with N >= 1", input);
}

template <class T>
kernels::ConvolutionShape ConvolutionLayer<T>::geometry_between(const Shape& x, const Shape& y) const {
  const auto channels = [](const Shape& shape) { return static_cast<Index>(shape[1]); };
  const auto size = [](const Shape& shape) {
    return Size2D(static_cast<Index>(shape[2]), static_cast<Index>(shape[3]));
  };
  return {.batch = static_cast<Index>(x[0]),
          .in_channels = channels(x),
          .in = size(x),
          .out_channels = channels(y),
          .out = size(y),
          .kernel = options_.kernel,
          .stride = options_.stride,
          .padding = options_.padding,
          .dilation = options_.dilation,
          .groups = options_.groups,
          .winograd = options_.winograd};
}

template <class T>
std::uint64_t ConvolutionLayer<T>::multiply_adds(const Shape& input) const {
  const kernels::ConvolutionShape shape = geometry(input);
  std::uint64_t product = 1;  // of factors that may be too large together for a signed number
  for (const Index factor : {shape.batch, shape.out_channels, shape.out_size(), shape.filter_size()})
    product *= static_cast<std::uint64_t>(factor);
  return product;
}

template <class T>
std::string ConvolutionLayer<T>::algorithm(const Shape& input) const {
  return uses_reference() ? "reference" : kernels::convolution_algorithm<T>(geometry(input));
}

template <class T>
std::string ConvolutionLayer<T>::options() const {
  return describe(options_);
}

template class ConvolutionLayer<float>;
template class ConvolutionLayer<double>;

}  // namespace strata
