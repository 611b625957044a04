// Layers that are linear in x and in their parameters: the same loops over the magnitudes give the size of
// the terms.
#include "tests/layers/linear_results.hpp"
#include "tests/properties/subject.hpp"

namespace strata::testing {
namespace {

template <class Result>
Outcome outcome(const Result& value, const Result& size, bool bias) {
  const auto expected = [](const Tensor<double>& v, const Tensor<double>& s) {
    return Expected{v, largest(s)};
  };
  Outcome outcome{expected(value.y, size.y), expected(value.dx, size.dx), {expected(value.dw, size.dw)}, {}};
  if (bias) outcome.gradients.push_back(expected(value.db, size.db));
  return outcome;
}

template <bool transposed, class T>
Subject<T> convolution(Random& random) {
  const ConvCase c = coin(random) ? random_usual_conv_case(random)
                     : transposed ? random_conv_transpose_case(random)
                                  : random_conv_case(random);
  auto layer = make_layer<transposed, T>(c, coin(random));
  randomize_parameters(layer, random);
  const Tensor<double> weight = widen(layer.weight().value);
  const Tensor<double> bias = c.bias ? widen(layer.bias().value) : Tensor<double>();
  return {layer.clone(), shape4(c.batch, c.in_channels, c.size.h, c.size.w),
          [=](bool, const Tensor<double>& x, const Tensor<double>& dy) {
            const Tensor<double> bias_size = magnitude(bias);
            return outcome(reference_conv<transposed>(c, x, weight, c.bias ? &bias : nullptr, dy),
                           reference_conv<transposed>(c, magnitude(x), magnitude(weight),
                                                      c.bias ? &bias_size : nullptr, magnitude(dy)),
                           c.bias);
          }};
}

template <class T>
Subject<T> linear(Random& random) {
  const Index in = pick(random, 1, 70), out = pick(random, 1, 70);
  const bool with_bias = coin(random);
  Linear<T> layer(in, out, {.bias = with_bias});
  randomize_parameters(layer, random);
  const Tensor<double> weight = widen(layer.weight().value);
  const Tensor<double> bias = with_bias ? widen(layer.bias().value) : Tensor<double>();
  return {layer.clone(),
          {static_cast<std::size_t>(pick(random, 1, 40)), static_cast<std::size_t>(in)},
          [=](bool, const Tensor<double>& x, const Tensor<double>& dy) {
            return outcome(reference_linear(x, weight, bias, dy),
                           reference_linear(magnitude(x), magnitude(weight), magnitude(bias), magnitude(dy)),
                           with_bias);
          }};
}

}  // namespace

std::vector<LayerClass> linear_classes() {
  return {{"Conv2D", convolution<false, float>, convolution<false, double>},
          {"ConvTranspose2D", convolution<true, float>, convolution<true, double>},
          {"Linear", linear<float>, linear<double>}};
}

}  // namespace strata::testing
