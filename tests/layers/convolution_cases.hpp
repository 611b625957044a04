// What the convolution tests share: a case, what the reference makes of it in double, and comparisons.
#pragma once

#include <cmath>
#include <ostream>

#include "strata/layers/reference/convolution.hpp"
#include "tests/layers/layer_checks.hpp"

namespace strata::testing {

struct ConvCase {
  Index batch, in_channels, out_channels;
  Size2D size, kernel, stride = 1, padding = 0, dilation = 1, output_padding = 0;
  Index groups = 1;
  bool bias = true;
};

inline std::ostream& operator<<(std::ostream& out, const ConvCase& c) {
  return out << "batch " << c.batch << ", " << c.in_channels << " -> " << c.out_channels << ", size "
             << to_string(c.size) << ", kernel " << to_string(c.kernel) << ", stride " << to_string(c.stride)
             << ", padding " << to_string(c.padding) << ", dilation " << to_string(c.dilation)
             << ", output padding " << to_string(c.output_padding) << ", groups " << c.groups << ", bias "
             << c.bias;
}

inline Shape shape4(Index n, Index c, Index h, Index w) {
  return {static_cast<std::size_t>(n), static_cast<std::size_t>(c), static_cast<std::size_t>(h),
          static_cast<std::size_t>(w)};
}

struct ConvResult {
  Tensor<double> y, dx, dw, db;
};

/// The convolution from the large to the small image, which ConvTranspose2D transposes: its x is the small
/// one.
template <bool transposed>
kernels::ConvolutionShape convolution_shape(const ConvCase& c, const Shape& y) {
  const Size2D other(static_cast<Index>(y[2]), static_cast<Index>(y[3]));
  return {.batch = c.batch,
          .in_channels = transposed ? c.out_channels : c.in_channels,
          .in = transposed ? other : c.size,
          .out_channels = transposed ? c.in_channels : c.out_channels,
          .out = transposed ? c.size : other,
          .kernel = c.kernel,
          .stride = c.stride,
          .padding = c.padding,
          .dilation = c.dilation,
          .groups = c.groups,
          .winograd = false};
}

/// By the reference; `bias` may be null.
template <bool transposed, class T>
ConvResult reference_conv(const ConvCase& c, const Tensor<T>& values, const Tensor<T>& weights,
                          const Tensor<T>* bias, const Tensor<T>& gradients) {
  const auto x = widen(values), w = widen(weights), dy = widen(gradients);
  const Tensor<double> biases = bias ? widen(*bias) : Tensor<double>();
  const double* const b = bias ? biases.data() : nullptr;
  ConvResult r{empty<double>(dy.shape()), empty<double>(x.shape()), empty<double>(w.shape()),
               empty<double>({static_cast<std::size_t>(c.out_channels)})};
  const auto shape = convolution_shape<transposed>(c, dy.shape());
  using Sum = reference::Accumulator<T>;  // no wider than it takes
  if constexpr (transposed) {
    reference::convolve_backward_data<double, Sum>(shape, x.data(), w.data(), b, r.y.data());
    reference::convolve<double, Sum>(shape, dy.data(), w.data(), nullptr, r.dx.data());
    reference::convolve_backward_weights<double, Sum>(shape, dy.data(), x.data(), r.dw.data());
  } else {
    reference::convolve<double, Sum>(shape, x.data(), w.data(), b, r.y.data());
    reference::convolve_backward_data<double, Sum>(shape, dy.data(), w.data(), nullptr, r.dx.data());
    reference::convolve_backward_weights<double, Sum>(shape, x.data(), dy.data(), r.dw.data());
  }
  reference::sum_per_channel(c.batch, c.out_channels, static_cast<Index>(dy.shape()[2] * dy.shape()[3]),
                             dy.data(), r.db.data());
  return r;
}

// |a - b| / |b|, both as vectors.
template <class T>
double l2_error(const Tensor<T>& a, const Tensor<double>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(static_cast<double>(a.data()[i]) - b.data()[i], 2);
    norm += std::pow(b.data()[i], 2);
  }
  return std::sqrt(difference / norm);
}

template <bool transposed, class T>
auto make_layer(const ConvCase& c, bool winograd = true) {
  if constexpr (transposed)
    return ConvTranspose2D<T>(c.in_channels, c.out_channels, c.kernel,
                              {.stride = c.stride,
                               .padding = c.padding,
                               .output_padding = c.output_padding,
                               .dilation = c.dilation,
                               .groups = c.groups,
                               .bias = c.bias,
                               .winograd = winograd});
  else
    return Conv2D<T>(c.in_channels, c.out_channels, c.kernel,
                     {.stride = c.stride,
                      .padding = c.padding,
                      .dilation = c.dilation,
                      .groups = c.groups,
                      .bias = c.bias,
                      .winograd = winograd});
}

template <class T>
struct ConvOutputs {
  Tensor<T> y, dx, dw, db;
};

// Runs a layer forward and back; the gradients of the parameters start as NaN, so what is not written shows.
template <class T, class ConvLayer>
ConvOutputs<T> run(ConvLayer& layer, const Tensor<T>& x, const Tensor<T>& dy) {
  for (Parameter<T>* parameter : layer.parameters()) parameter->gradient.fill(std::nan(""));
  ConvOutputs<T> r;
  r.y = layer.forward(x);
  r.dx = layer.backward(dy);
  r.dw = layer.weight().gradient;
  if (layer.parameters().size() == 2) r.db = layer.bias().gradient;
  return r;
}

// Compares a layer with the reference on normal random data.
template <bool transposed, class T>
void compare(const ConvCase& c, Random& random, double tolerance, bool winograd = true) {
  auto layer = make_layer<transposed, T>(c, winograd);
  const auto x = random.normal<T>(shape4(c.batch, c.in_channels, c.size.h, c.size.w));
  const auto dy = random.normal<T>(layer.output_shape(x.shape()));
  const ConvOutputs<T> ours = run<T>(layer, x, dy);
  const ConvResult expected =
      reference_conv<transposed>(c, x, layer.weight().value, c.bias ? &layer.bias().value : nullptr, dy);
  EXPECT_LE(max_error(ours.y, expected.y), tolerance);
  EXPECT_LE(max_error(ours.dx, expected.dx), tolerance);
  EXPECT_LE(max_error(ours.dw, expected.dw), tolerance);
  if (c.bias) {
    EXPECT_LE(max_error(ours.db, expected.db), tolerance);
  }

  EXPECT_TRUE(same_bits(layer.infer(x), ours.y));
  layer.eval();
  EXPECT_TRUE(same_bits(layer.forward(x), ours.y));
  layer.weight().gradient.fill(T{0});
  layer.backward_parameters(dy);
  EXPECT_TRUE(same_bits(layer.weight().gradient, ours.dw));
}

}  // namespace strata::testing
