// Convolution by the plain loops of its formula, in double; and what the convolution tests share.
#pragma once

#include <cmath>
#include <ostream>

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

// Calls visit(x index, weight index, y index) for every product that the formula of Conv2D adds up.
template <class Visit>
void visit_conv(const ConvCase& c, const Shape& y, const Visit& visit) {
  const Index out_h = static_cast<Index>(y[2]), out_w = static_cast<Index>(y[3]);
  const Index in_group = c.in_channels / c.groups, out_group = c.out_channels / c.groups;
  for (Index n = 0; n < c.batch; ++n)
    for (Index k = 0; k < c.out_channels; ++k)
      for (Index p = 0; p < out_h; ++p)
        for (Index q = 0; q < out_w; ++q)
          for (Index ch = 0; ch < in_group; ++ch)
            for (Index i = 0; i < c.kernel.h; ++i)
              for (Index j = 0; j < c.kernel.w; ++j) {
                const Index row = p * c.stride.h - c.padding.h + i * c.dilation.h;
                const Index column = q * c.stride.w - c.padding.w + j * c.dilation.w;
                if (row < 0 || row >= c.size.h || column < 0 || column >= c.size.w) continue;
                const Index channel = k / out_group * in_group + ch;
                visit(((n * c.in_channels + channel) * c.size.h + row) * c.size.w + column,
                      ((k * in_group + ch) * c.kernel.h + i) * c.kernel.w + j,
                      ((n * c.out_channels + k) * out_h + p) * out_w + q);
              }
}

// The same for ConvTranspose2D.
template <class Visit>
void visit_conv_transpose(const ConvCase& c, const Shape& y, const Visit& visit) {
  const Index out_h = static_cast<Index>(y[2]), out_w = static_cast<Index>(y[3]);
  const Index in_group = c.in_channels / c.groups, out_group = c.out_channels / c.groups;
  for (Index n = 0; n < c.batch; ++n)
    for (Index ch = 0; ch < c.in_channels; ++ch)
      for (Index p = 0; p < c.size.h; ++p)
        for (Index q = 0; q < c.size.w; ++q)
          for (Index k = 0; k < out_group; ++k)
            for (Index i = 0; i < c.kernel.h; ++i)
              for (Index j = 0; j < c.kernel.w; ++j) {
                const Index row = p * c.stride.h - c.padding.h + i * c.dilation.h;
                const Index column = q * c.stride.w - c.padding.w + j * c.dilation.w;
                if (row < 0 || row >= out_h || column < 0 || column >= out_w) continue;
                const Index channel = ch / in_group * out_group + k;
                visit(((n * c.in_channels + ch) * c.size.h + p) * c.size.w + q,
                      ((ch * out_group + k) * c.kernel.h + i) * c.kernel.w + j,
                      ((n * c.out_channels + channel) * out_h + row) * out_w + column);
              }
}

template <bool transposed, class T>
ConvResult reference_conv(const ConvCase& c, const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>* bias,
                          const Tensor<T>& dy) {
  ConvResult r{full<double>(dy.shape(), 0), full<double>(x.shape(), 0), full<double>(w.shape(), 0),
               full<double>({static_cast<std::size_t>(c.out_channels)}, 0)};
  const Index plane = static_cast<Index>(dy.shape()[2] * dy.shape()[3]);
  for (Index i = 0; i < static_cast<Index>(dy.size()); ++i) {
    const Index k = i / plane % c.out_channels;
    if (bias) r.y.data()[i] = static_cast<double>(bias->data()[k]);
    r.db.data()[k] += static_cast<double>(dy.data()[i]);
  }
  const auto visit = [&](Index xi, Index wi, Index yi) {
    const double xv = static_cast<double>(x.data()[xi]), wv = static_cast<double>(w.data()[wi]);
    const double dv = static_cast<double>(dy.data()[yi]);
    r.y.data()[yi] += xv * wv;
    r.dx.data()[xi] += dv * wv;
    r.dw.data()[wi] += dv * xv;
  };
  if constexpr (transposed)
    visit_conv_transpose(c, dy.shape(), visit);
  else
    visit_conv(c, dy.shape(), visit);
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
