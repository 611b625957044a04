// Sums of a million terms against long double: every layer, loss, metric and norm of gradients that adds up.
#include <functional>

#include "strata/optim/gradient_norm.hpp"
#include "tests/framework/kernels_only.hpp"
#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

using testing::for_each_instruction_set;

using Real = long double;

constexpr std::size_t kTerms = 1'000'000, kSide = 1000;  // an image of so many pixels

/// Some rounding of the result, whatever the number of terms. A plain sum in float would be off by 1e-4.
constexpr double kAsOne = 4e-7;
/// Sums of products, by OpenBLAS or in tiles: partial sums are in float.
constexpr double kProducts = 5e-5;

// Of one sign, so that what rounding drops adds up.
Tensor<float> positive(const Shape& shape, std::uint64_t seed) {
  return Random(seed).uniform<float>(shape, 0.05, 0.15);
}

/// Some elements of a tensor (N, C, ...): those of channel c.
struct Channel {
  const Tensor<float>& tensor;
  std::size_t c;

  std::size_t plane() const { return tensor.size() / tensor.shape()[0] / tensor.shape()[1]; }
  std::size_t count() const { return tensor.shape()[0] * plane(); }
  Real operator[](std::size_t i) const {
    const std::size_t n = i / plane(), p = i % plane();
    return static_cast<Real>(tensor.data()[(n * tensor.shape()[1] + c) * plane() + p]);
  }
};

template <class Term>
Real sum(std::size_t count, const Term& term) {
  Real total = 0;
  for (std::size_t i = 0; i < count; ++i) total += term(i);
  return total;
}

template <class T>
void expect_near(T got, Real expected, double tolerance, const char* what, Real scale = 0) {
  const Real size = std::max(std::abs(expected), scale);
  EXPECT_LE(std::abs(static_cast<Real>(got) - expected), static_cast<Real>(tolerance) * size)
      << what << ": relative error "
      << static_cast<double>(std::abs(static_cast<Real>(got) - expected) / size);
}

void expect_bias_gradient(const Tensor<float>& gradient, const Tensor<float>& dy) {
  for (std::size_t c = 0; c < gradient.size(); ++c) {
    const Channel of_dy{dy, c};
    expect_near(gradient(c), sum(of_dy.count(), [&](std::size_t i) { return of_dy[i]; }), kAsOne, "db");
  }
}

TEST(LongSums, GradientsOfLinear) {
  const auto x = positive({kTerms, 2}, 1), dy = positive({kTerms, 3}, 2);
  for_each_instruction_set([&] {
    Linear<float> layer(2, 3);
    layer.forward(x);
    layer.backward_parameters(dy);
    expect_bias_gradient(layer.bias().gradient, dy);
    for (std::size_t o = 0; o < 3; ++o)
      for (std::size_t i = 0; i < 2; ++i) {
        const Channel of_dy{dy, o}, of_x{x, i};
        expect_near(layer.weight().gradient(o, i),
                    sum(kTerms, [&](std::size_t n) { return of_dy[n] * of_x[n]; }), kProducts, "dw");
      }
  });
}

TEST(LongSums, FeaturesOfLinear) {
  const auto x = positive({1, kTerms}, 1), weight = positive({1, kTerms}, 2);
  const Real expected = sum(kTerms, [&](std::size_t i) {
    return static_cast<Real>(x.data()[i]) * static_cast<Real>(weight.data()[i]);
  });
  for_each_instruction_set([&] {
    Linear<float> forward(kTerms, 1, {.bias = false});
    forward.weight().value = weight;
    expect_near(forward.infer(x)(0, 0), expected, kProducts, "y");
    Linear<float> backward(1, kTerms, {.bias = false});
    backward.weight().value = weight;
    backward.weight().value.reshape({kTerms, 1});
    backward.forward(full<float>({1, 1}, 0.5f));
    expect_near(backward.backward(x)(0, 0), expected, kProducts, "dx");
  });
}

/// The bias, and the tap in the middle of the kernel, which sees every pixel.
template <class Conv>
void expect_gradients(Conv layer, const Shape& input) {
  const auto x = positive(input, 1), dy = positive(layer.output_shape(input), 2);
  for_each_instruction_set([&] {
    SCOPED_TRACE(layer.options() + ": " + layer.algorithm(input));
    layer.forward(x);
    layer.backward_parameters(dy);
    expect_bias_gradient(layer.bias().gradient, dy);
    const Tensor<float>& dw = layer.weight().gradient;
    const Channel of_x{x, 0}, of_dy{dy, 0};
    expect_near(dw(0, 0, dw.shape()[2] / 2, dw.shape()[3] / 2),
                sum(of_x.count(), [&](std::size_t i) { return of_x[i] * of_dy[i]; }), kProducts, "dw");
  });
}

TEST(LongSums, GradientsOfConvolutions) {
  const KernelsOnly kernels_only;
  const Shape image{1, 4, kSide, kSide}, images{kSide, 4, 32, 32};
  for (const Index kernel : {1, 3, 5})
    for (const Index groups : {1, 4}) {
      expect_gradients(Conv2D<float>(4, 4, kernel, {.padding = kernel / 2, .groups = groups}), images);
      expect_gradients(ConvTranspose2D<float>(4, 4, kernel, {.padding = kernel / 2, .groups = groups}),
                       images);
    }
  expect_gradients(Conv2D<float>(4, 8, 3, {.padding = 1}), image);
  expect_gradients(Conv2D<float>(4, 8, 3, {.padding = 1, .winograd = false}), image);
  expect_gradients(Conv2D<float>(4, 4, 3, {.padding = 1, .groups = 4}), {4 * kSide, 4, 16, 16});
}

/// dbeta = sum dy and dgamma = sum dy xhat, where a set is a slice of axes from `axis` on, or a channel of
/// all samples if `axis` is 0.
void expect_gradients(NormalizationLayer<float>& layer, const Shape& input, std::size_t set_of_sample) {
  const auto x = Random(1).uniform<float>(input, 1, 2), dy = positive(input, 2);
  const std::size_t channels = layer.weight().value.size(), plane = x.size() / input[0] / input[1];
  // Which set, and which channel, element i is of.
  const std::size_t sample = x.size() / input[0];
  const auto channel_of = [&](std::size_t i) { return i / plane % channels; };
  const auto set_of = [&](std::size_t i) {
    return set_of_sample == 0 ? channel_of(i) : i / (sample / set_of_sample);
  };
  const std::size_t sets = set_of_sample == 0 ? channels : input[0] * set_of_sample;
  const Real elements = static_cast<Real>(x.size() / sets);
  std::vector<Real> mean(sets), variance(sets), gamma(channels), beta(channels), size(channels);
  for (std::size_t i = 0; i < x.size(); ++i) mean[set_of(i)] += static_cast<Real>(x.data()[i]) / elements;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Real d = static_cast<Real>(x.data()[i]) - mean[set_of(i)];
    variance[set_of(i)] += d * d / elements;
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Real g = static_cast<Real>(dy.data()[i]);
    const Real xhat =
        (static_cast<Real>(x.data()[i]) - mean[set_of(i)]) / std::sqrt(variance[set_of(i)] + Real{1e-5});
    beta[channel_of(i)] += g;
    gamma[channel_of(i)] += g * xhat;
    size[channel_of(i)] += std::abs(g * xhat);
  }
  for_each_instruction_set([&] {
    SCOPED_TRACE(layer.label() + " of " + to_string(input));
    layer.forward(x);
    layer.backward(dy);
    for (std::size_t c = 0; c < channels; ++c) {
      expect_near(layer.bias().gradient.data()[c], beta[c], kAsOne, "dbeta");
      expect_near(layer.weight().gradient.data()[c], gamma[c], kAsOne, "dgamma", size[c]);
    }
    for (const auto& buffer : layer.named_buffers())
      if (const auto* average = std::get_if<Tensor<float>*>(&buffer.value))
        for (std::size_t c = 0; c < channels; ++c) {
          Real expected = 0;
          const auto& values = buffer.name == "running_mean" ? mean : variance;
          for (std::size_t s = 0; s < sets; s += channels)
            expected += values[s + c] / static_cast<Real>(sets / channels);
          expect_near((**average)(c), expected, kAsOne, buffer.name.c_str());
        }
  });
}

TEST(LongSums, GradientsAndStatisticsOfNorms) {
  const BatchNormOptions last{.momentum = 1};
  SpatialBatchNorm<float> batch(2, last);
  expect_gradients(batch, {kSide, 2, 32, 32}, 0);
  expect_gradients(batch, {1, 2, kSide, kSide}, 0);
  expect_gradients(batch, {kTerms / 9, 2, 3, 3}, 0);
  BatchNorm1D<float> columns(2, last);
  expect_gradients(columns, {kTerms, 2}, 0);
  InstanceNorm2D<float> instance(2, {.momentum = 1, .track_running_stats = true});
  expect_gradients(instance, {kSide, 2, 32, 32}, 2);
  expect_gradients(instance, {1, 2, kSide, kSide}, 2);
  GroupNorm<float> group(1, 2);
  expect_gradients(group, {kSide, 2, 32, 32}, 1);
  LayerNorm<float> rows(Shape{2});
  expect_gradients(rows, {kTerms, 2}, 1);
}

TEST(LongSums, Pooling) {
  const auto x = positive({1, 2, kSide, kSide}, 1);
  for (std::size_t c = 0; c < 2; ++c) {
    const Channel of_x{x, c};
    const Real total = sum(kTerms, [&](std::size_t i) { return of_x[i]; });
    for_each_instruction_set([&] {
      expect_near(GlobalAvgPool2D<float>().infer(x)(0, c, 0, 0), total / kTerms, kAsOne, "global average");
      expect_near(AvgPool2D<float>(kSide).infer(x)(0, c, 0, 0), total / kTerms, kProducts, "average");
      Upsample2D<float> upsample(kSide);
      upsample.forward(positive({1, 2, 1, 1}, 2));
      expect_near(upsample.backward(x)(0, c, 0, 0), total, kProducts, "upsample");
    });
  }
}

TEST(LongSums, Losses) {
  const auto scores = Random(1).normal<float>({kTerms, 2}), wide = Random(2).normal<float>({1, kTerms});
  Labels labels(kTerms);
  for (std::size_t n = 0; n < kTerms; ++n) labels[n] = static_cast<std::int32_t>(n % 2);
  const auto margin = [&](std::size_t n) {  // by which the label is behind
    return static_cast<Real>(scores(n, 1 - n % 2)) - static_cast<Real>(scores(n, n % 2));
  };
  const auto mean = [&](const auto& term) { return sum(kTerms, term) / kTerms; };
  constexpr double kDouble = 2e-12;  // a plain sum in double
  expect_near(SoftmaxCrossEntropy<float>()(scores, labels).value,
              mean([&](std::size_t n) { return std::log1p(std::exp(margin(n))); }), kDouble, "cross-entropy");
  expect_near(SoftmaxCrossEntropy<float>()(wide, {7}).value,
              std::log(sum(kTerms, [&](std::size_t c) { return std::exp(static_cast<Real>(wide(0, c))); })) -
                  static_cast<Real>(wide(0, 7)),
              kDouble, "cross-entropy of many classes");
  expect_near(MulticlassHinge<float>()(scores, labels).value,
              mean([&](std::size_t n) { return std::max(Real{0}, margin(n) + 1); }), kDouble, "hinge");
  const auto x = positive({kTerms}, 1), target = positive({kTerms}, 2);
  expect_near(MeanSquaredError<float>()(x, target).value, mean([&](std::size_t i) {
                const Real d = static_cast<Real>(x(i)) - static_cast<Real>(target(i));
                return d * d;
              }),
              kDouble, "mean squared error");
  const Real right = mean([&](std::size_t n) { return margin(n) < 0 ? 1 : 0; });
  EXPECT_EQ(accuracy(scores, labels), static_cast<double>(right));
}

TEST(LongSums, NormOfGradients) {
  Parameter<float> whole("whole", zeros<float>({kTerms}));
  whole.gradient = positive({kTerms}, 1);
  const Real squares = sum(kTerms, [&](std::size_t i) {
    return static_cast<Real>(whole.gradient(i)) * static_cast<Real>(whole.gradient(i));
  });
  std::vector<Parameter<float>> parts(kSide, Parameter<float>("part", zeros<float>({kSide})));
  std::vector<Parameter<float>*> of_parts;
  for (std::size_t p = 0; p < kSide; ++p) {
    std::copy_n(whole.gradient.data() + p * kSide, kSide, parts[p].gradient.data());
    of_parts.push_back(&parts[p]);
  }
  for_each_instruction_set([&] {
    expect_near(gradient_norm<float>({&whole}), std::sqrt(squares), 1e-13, "of one parameter");
    expect_near(gradient_norm(of_parts), std::sqrt(squares), 1e-13, "of many");
  });
}

}  // namespace
}  // namespace strata
