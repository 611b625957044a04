// SpatialBatchNorm and BatchNorm1D.
#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>

#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// Mean and standard deviation of channel c of (N, C, ...).
std::pair<double, double> channel_moments(const Tensor<double>& x, std::size_t c) {
  const std::size_t channels = x.shape()[1], length = x.size() / (x.shape()[0] * channels);
  double sum = 0, squares = 0, m = 0;
  for (int pass = 0; pass < 2; ++pass) {
    squares = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (i / length % channels != c) continue;
      if (pass == 0) sum += x.data()[i], ++m;
      squares += std::pow(x.data()[i] - sum / m, 2);
    }
  }
  return {sum / m, std::sqrt(squares / m)};
}

template <class L>
L with_random_parameters(L layer, std::uint64_t seed) {
  Random random(seed);
  const Shape shape = layer.weight().value.shape();
  layer.weight().value = random.normal<double>(shape, 0, 1.5);
  layer.bias().value = random.normal<double>(shape);
  layer.running_mean() = random.normal<double>(shape);
  layer.running_var() = random.uniform<double>(shape, 0.3, 3);
  return layer;
}

// The course's notebook prints -0.15, 0.17 and -0.03 for these means: its author flattened (N, C, H, W) to
// (N H W, C) without moving C last.
TEST(SpatialBatchNorm, GivesMeanBetaAndDeviationGamma) {
  const Tensor<double> x = Random(231).normal<double>({2, 3, 4, 5}, 10, 4);
  for (const bool random_parameters : {false, true}) {
    SpatialBatchNorm<double> layer(3, {.eps = 1e-14});
    if (random_parameters) {
      layer.weight().value = Tensor<double>{3, 4, 5};
      layer.bias().value = Tensor<double>{6, 7, 8};
    }
    const Tensor<double> y = layer.forward(x);
    for (std::size_t c = 0; c < 3; ++c) {
      const auto [mean, deviation] = channel_moments(y, c);
      EXPECT_NEAR(mean, layer.bias().value(c), 1e-12);
      EXPECT_NEAR(deviation, layer.weight().value(c), 1e-12);
    }
  }
}

// One source prints the output for means that it broadcast along W instead of along the channels.
TEST(SpatialBatchNorm, ChannelStatisticsOfOurSource) {
  const Tensor<double> x{{{{1, 0}, {0, 0}}, {{0, 1}, {0, 0}}}, {{{0, 1}, {2, 3}}, {{4, 5}, {6, 7}}}};
  SpatialBatchNorm<double> biased(2, {.momentum = 1.0});
  biased.forward(x);
  EXPECT_TRUE(testing::near(biased.running_mean(), Tensor<double>{0.875, 2.875}, 1e-15));
  EXPECT_TRUE(testing::near(biased.running_var(), Tensor<double>{1.109375, 7.609375}, 1e-15));

  SpatialBatchNorm<double> unbiased(2, {.eps = 1e-8, .momentum = 1.0, .unbiased = true});
  unbiased.forward(x);
  EXPECT_TRUE(testing::near(unbiased.running_var(), Tensor<double>{1.26785714, 8.69642857}, 1e-8));
  unbiased.eval();  // the source divides by the unbiased variance, which here only evaluation can do
  const Tensor<double> y = unbiased.forward(x);
  const double expected[2][2][2] = {{{.1110, -.7771}, {-.7771, -.7771}},
                                    {{-.9749, -.6358}, {-.9749, -.9749}}};
  for (std::size_t c = 0; c < 2; ++c)
    for (std::size_t h = 0; h < 2; ++h)
      for (std::size_t w = 0; w < 2; ++w) EXPECT_NEAR(y(0, c, h, w), expected[c][h][w], 5e-5);
  const double along_w = (0 - 2.875) / std::sqrt(8.69642857);
  EXPECT_GT(std::abs(y(0, 0, 0, 1) - along_w), 0.1);
}

TEST(SpatialBatchNorm, Gradients) {
  Random random(5);
  for (const Shape& shape : {Shape{2, 3, 4, 5}, {5, 2, 1, 7}, {1, 1, 3, 3}, {3, 2, 1, 1}, {2, 4, 6, 3}}) {
    const auto channels = static_cast<Index>(shape[1]);
    const auto x = random.normal<double>(shape, 12, 5);
    for (const bool track : {true, false}) {
      SpatialBatchNorm<double> layer(channels, {.track_running_stats = track});
      layer.weight().value = random.normal<double>({shape[1]}, 0, 1.5);
      layer.bias().value = random.normal<double>({shape[1]});
      const GradientReport report = check_gradients(layer, x);
      EXPECT_TRUE(report.passed()) << report;
    }
    const GradientReport plain = check_gradients(SpatialBatchNorm<double>(channels, {.affine = false}), x);
    EXPECT_TRUE(plain.passed()) << plain;
    const GradientReport frozen =
        check_gradients(with_random_parameters(SpatialBatchNorm<double>(channels), 8), x);
    EXPECT_TRUE(frozen.passed()) << frozen;
  }
}

TEST(SpatialBatchNorm, GradientsBetweenOtherLayers) {
  Sequential<double> net{Conv2D<double>(2, 3, 3, {.padding = 1}),
                         with_random_parameters(SpatialBatchNorm<double>(3), 1),
                         Tanh<double>(),
                         Conv2D<double>(3, 4, 2),
                         with_random_parameters(SpatialBatchNorm<double>(4), 2),
                         Flatten<double>(),
                         Linear<double>(4 * 3 * 4, 3)};
  const GradientReport report = check_gradients(net, Random(3).normal<double>({3, 2, 4, 5}));
  EXPECT_TRUE(report.passed()) << report;
}

TEST(BatchNorm1D, Gradients) {
  for (const Shape& shape : {Shape{4, 3}, {2, 5}, {3, 2, 4}, {1, 2, 6}, {2, 3, 17}}) {
    const auto layer = with_random_parameters(BatchNorm1D<double>(static_cast<Index>(shape[1])), 4);
    const GradientReport report = check_gradients(layer, Random(6).normal<double>(shape, -3, 2));
    EXPECT_TRUE(report.passed()) << report;
  }
  Sequential<double> net{
      Linear<double>(4, 6), with_random_parameters(BatchNorm1D<double>(6), 1), Sigmoid<double>(),
      Linear<double>(6, 3), with_random_parameters(BatchNorm1D<double>(3), 2), Linear<double>(3, 2)};
  const GradientReport report = check_gradients(net, Random(3).normal<double>({5, 4}));
  EXPECT_TRUE(report.passed()) << report;
}

struct Averaging {
  std::optional<double> momentum;
  double minimum_factor;
  bool unbiased;
};

class RunningAverages : public ::testing::TestWithParam<Averaging> {};

TEST_P(RunningAverages, AreThoseOfAPlainLoop) {
  const auto [momentum, minimum_factor, unbiased] = GetParam();
  const BatchNormOptions options{
      .momentum = momentum, .minimum_factor = minimum_factor, .unbiased = unbiased};
  SpatialBatchNorm<double> images(3, options);
  BatchNorm1D<double> sequences(3, options);
  InstanceNorm2D<double> instances(3, {.momentum = momentum,
                                       .minimum_factor = minimum_factor,
                                       .track_running_stats = true,
                                       .unbiased = unbiased});
  double mean[3] = {0, 0, 0}, variance[3] = {1, 1, 1}, instance_mean[3] = {0, 0, 0},
         instance_variance[3] = {1, 1, 1};
  Random random(9);
  for (std::size_t batch = 1; batch <= 5; ++batch) {
    const std::size_t samples = 1 + batch % 3;
    const auto x = random.normal<double>({samples, 3, 2, 4}, 2, 3);
    images.forward(x);
    Tensor<double> flat = x;
    flat.reshape({samples, 3, 8});
    sequences.forward(flat);
    instances.forward(x);
    const double m = momentum ? *momentum : std::max(1.0 / static_cast<double>(batch), minimum_factor);
    for (std::size_t c = 0; c < 3; ++c) {
      const auto average = [m](double& r, double value) { r = (1 - m) * r + m * value; };
      const auto [batch_mean, deviation] = channel_moments(x, c);
      const double count = 8 * static_cast<double>(samples);
      average(mean[c], batch_mean);
      average(variance[c], deviation * deviation * (unbiased ? count / (count - 1) : 1));
      double sum = 0, variances = 0;
      for (std::size_t n = 0; n < samples; ++n) {
        const Tensor<double> sample = xt::view(x, xt::range(n, n + 1));
        const auto [sample_mean, sample_deviation] = channel_moments(sample, c);
        sum += sample_mean / static_cast<double>(samples);
        variances += sample_deviation * sample_deviation / static_cast<double>(samples);
      }
      average(instance_mean[c], sum);
      average(instance_variance[c], variances * (unbiased ? 8.0 / 7 : 1));
    }
    EXPECT_EQ(images.num_batches_tracked(), static_cast<std::int64_t>(batch));
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(images.running_mean()(c), mean[c], 1e-13);
      EXPECT_NEAR(images.running_var()(c), variance[c], 1e-13);
      EXPECT_NEAR(sequences.running_mean()(c), mean[c], 1e-13);
      EXPECT_NEAR(sequences.running_var()(c), variance[c], 1e-13);
      EXPECT_NEAR(instances.running_mean()(c), instance_mean[c], 1e-13);
      EXPECT_NEAR(instances.running_var()(c), instance_variance[c], 1e-13);
    }
  }
  // Neither evaluation nor infer moves them.
  const Tensor<double> before = images.running_mean();
  images.eval();
  images.forward(random.normal<double>({2, 3, 2, 4}));
  images.infer(random.normal<double>({2, 3, 2, 4}));
  EXPECT_EQ(images.running_mean(), before);
  EXPECT_EQ(images.num_batches_tracked(), 5);
}

INSTANTIATE_TEST_SUITE_P(BatchNorm, RunningAverages,
                         ::testing::Values(Averaging{0.1, 0, false}, Averaging{0.1, 0, true},
                                           Averaging{1.0, 0, false}, Averaging{0.0, 0, true},
                                           Averaging{std::nullopt, 0, false},
                                           Averaging{std::nullopt, 0, true},
                                           Averaging{std::nullopt, 0.4, false},
                                           Averaging{std::nullopt, 0.4, true}, Averaging{0.3, 0.9, false}));

TEST(SpatialBatchNorm, CumulativeAverageForgetsWhereItStarted) {
  SpatialBatchNorm<double> layer(1, {.momentum = std::nullopt});
  for (const double value : {1.0, 2.0, 6.0}) layer.forward(Tensor<double>{{{{value - 1, value + 1}}}});
  EXPECT_NEAR(layer.running_mean()(0), 3, 1e-15);
  EXPECT_NEAR(layer.running_var()(0), 1, 1e-15);
}

TEST(SpatialBatchNorm, EvaluationUsesTheStatisticsThatWereSet) {
  SpatialBatchNorm<double> layer(2, {.eps = 1e-3});
  layer.running_mean() = Tensor<double>{1, -2};
  layer.running_var() = Tensor<double>{4, 0.25};
  layer.weight().value = Tensor<double>{2, 3};
  layer.bias().value = Tensor<double>{0.5, -0.5};
  layer.eval();
  Tensor<double> x = full<double>({1, 2, 1, 1}, 3);  // one value per channel: here that is no error
  x(0, 1, 0, 0) = 1;
  const Tensor<double> y = layer.forward(x);
  EXPECT_NEAR(y(0, 0, 0, 0), 2 * (3 - 1) / std::sqrt(4.001) + 0.5, 1e-15);
  EXPECT_NEAR(y(0, 1, 0, 0), 3 * (1 + 2) / std::sqrt(0.251) - 0.5, 1e-14);
  EXPECT_TRUE(testing::same_bits(layer.infer(x), y));
}

TEST(SpatialBatchNorm, EvaluationDoesNotDependOnTheBatch) {
  auto layer = with_random_parameters(SpatialBatchNorm<double>(3), 2);
  layer.eval();
  const auto x = Random(1).normal<double>({4, 3, 5, 5});
  const Tensor<double> together = layer.forward(x);
  for (std::size_t n = 0; n < 4; ++n) {
    const Tensor<double> alone = layer.forward(xt::view(x, xt::range(n, n + 1)));
    EXPECT_TRUE(testing::same_bits<double>(alone, xt::view(together, xt::range(n, n + 1))));
  }
}

TEST(SpatialBatchNorm, PermutingTheBatchPermutesTheOutput) {
  auto layer = with_random_parameters(SpatialBatchNorm<double>(2), 2);
  const auto x = Random(1).normal<double>({5, 2, 3, 4});
  const std::size_t order[] = {3, 0, 4, 2, 1};
  Tensor<double> permuted = x;
  for (std::size_t n = 0; n < 5; ++n) xt::view(permuted, n) = xt::view(x, order[n]);
  const Tensor<double> y = layer.forward(x), z = layer.forward(permuted);
  for (std::size_t n = 0; n < 5; ++n)
    EXPECT_TRUE(testing::near<double>(xt::view(z, xt::range(n, n + 1)),
                                      Tensor<double>(xt::view(y, xt::range(order[n], order[n] + 1))), 1e-13));
}

TEST(SpatialBatchNorm, KeepsTheContract) {
  testing::expect_contract(SpatialBatchNorm<float>(32), Random(1).normal<float>({16, 32, 32, 32}, 1, 2));
  testing::expect_contract(SpatialBatchNorm<float>(2), Random(1).normal<float>({8, 2, 90, 100}, 1, 2));
  testing::expect_contract(SpatialBatchNorm<double>(3, {.affine = false, .track_running_stats = false}),
                           Random(1).normal<double>({2, 3, 5, 7}));
}

TEST(BatchNorm1D, KeepsTheContract) {
  testing::expect_contract(BatchNorm1D<float>(1000), Random(1).normal<float>({300, 1000}));
  testing::expect_contract(BatchNorm1D<double>(3), Random(1).normal<double>({4, 3, 50}));
}

// A clone that forgets gamma, beta or the counter of batches was another library's fault.
TEST(SpatialBatchNorm, CloneHasAStateOfItsOwn) {
  auto layer = with_random_parameters(SpatialBatchNorm<double>(3), 2);
  layer.num_batches_tracked() = 17;
  const auto clone = layer.clone();
  const auto x = Random(4).normal<double>({2, 3, 4, 4});
  EXPECT_TRUE(testing::same_bits(clone->infer(x), layer.infer(x)));
  const Tensor<double> before = clone->infer(x);
  layer.forward(x);
  layer.weight().value.fill(9);
  EXPECT_TRUE(testing::same_bits(clone->infer(x), before));
  EXPECT_EQ(*std::get<std::int64_t*>(clone->named_buffers().back().value), 17);
}

TEST(SpatialBatchNorm, NamesItsStateAsPyTorch) {
  SpatialBatchNorm<float> layer(4);
  std::vector<std::string> names;
  for (const auto& [name, parameter] : layer.named_parameters()) {
    names.push_back(name);
    EXPECT_FALSE(parameter->decay);
  }
  for (const auto& buffer : layer.named_buffers()) names.push_back(buffer.name);
  EXPECT_THAT(names,
              ::testing::ElementsAre("weight", "bias", "running_mean", "running_var", "num_batches_tracked"));
  EXPECT_EQ(layer.running_mean(), full<float>({4}, 0));
  EXPECT_EQ(layer.running_var(), full<float>({4}, 1));
  EXPECT_TRUE(
      SpatialBatchNorm<float>(4, {.affine = false, .track_running_stats = false}).named_buffers().empty());
}

TEST(SpatialBatchNorm, InitializeStartsAnew) {
  auto layer = with_random_parameters(SpatialBatchNorm<double>(2), 2);
  layer.forward(Random(4).normal<double>({2, 2, 4, 4}));
  layer.initialize(1);
  EXPECT_EQ(layer.weight().value, full<double>({2}, 1));
  EXPECT_EQ(layer.bias().value, full<double>({2}, 0));
  EXPECT_EQ(layer.running_mean(), full<double>({2}, 0));
  EXPECT_EQ(layer.running_var(), full<double>({2}, 1));
  EXPECT_EQ(layer.num_batches_tracked(), 0);
}

template <class E, class F>
void expect_error(const F& f, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_THAT(f, ThrowsMessage<E>(HasSubstr(part)));
}

TEST(SpatialBatchNorm, RefusesMisuse) {
  using L = SpatialBatchNorm<float>;
  expect_error<ArgumentError>([] { L(0); }, {"SpatialBatchNorm: expected at least 1 channel, got 0"});
  expect_error<ArgumentError>([] { L(-3); }, {"got -3"});
  expect_error<ArgumentError>([] { L(3, {.eps = 0}); }, {"SpatialBatchNorm", "eps > 0", "0.0"});
  expect_error<ArgumentError>([] { L(3, {.eps = -1e-5}); }, {"eps > 0"});
  expect_error<ArgumentError>([] { L(3, {.eps = std::nan("")}); }, {"eps > 0"});
  expect_error<ArgumentError>([] { L(3, {.momentum = 1.1}); }, {"SpatialBatchNorm", "momentum", "1.1"});
  expect_error<ArgumentError>([] { L(3, {.momentum = -0.1}); }, {"momentum"});
  expect_error<ArgumentError>([] { L(3, {.momentum = std::nullopt, .minimum_factor = 2}); },
                              {"minimum_factor", "2.0"});
  L layer(3);
  layer.set_path("features.1");
  const std::string label = "SpatialBatchNorm 'features.1'";
  expect_error<ShapeError>(
      [&] {
        layer.forward(full<float>({2, 3, 4}, 0));
      },
      {label, "(N, 3, H, W)", "(2, 3, 4)"});
  expect_error<ShapeError>([&] { layer.forward(full<float>({2, 4, 5, 5}, 0)); }, {label, "(2, 4, 5, 5)"});
  expect_error<ShapeError>([&] { layer.forward(full<float>({0, 3, 5, 5}, 0)); }, {label, "(0, 3, 5, 5)"});
  expect_error<ShapeError>([&] { layer.infer(full<float>({2, 4, 5, 5}, 0)); }, {label, "(2, 4, 5, 5)"});
  expect_error<ShapeError>(
      [&] {
        layer.forward(full<float>({1, 3, 1, 1}, 0));
      },
      {label, "more than one value per channel", "(1, 3, 1, 1)"});
  EXPECT_EQ(layer.num_batches_tracked(), 0);
  expect_error<StateError>([&] { layer.backward(full<float>({1, 3, 1, 1}, 0)); }, {label});
  layer.running_var() = full<float>({2}, 1);
  layer.eval();
  expect_error<ShapeError>(
      [&] {
        layer.forward(full<float>({1, 3, 1, 1}, 0));
      },
      {label, "running_var of shape (3)", "(2)"});
  layer.train();
  expect_error<ShapeError>(
      [&] {
        layer.forward(full<float>({2, 3, 1, 1}, 0));
      },
      {"running_var of shape (3)"});
  layer.weight().value = full<float>({4}, 1);
  expect_error<ShapeError>(
      [&] {
        layer.forward(full<float>({2, 3, 1, 1}, 0));
      },
      {"weight of shape (3)", "(4)"});

  L bare(3, {.affine = false, .track_running_stats = false});
  expect_error<StateError>([&] { bare.weight(); }, {"SpatialBatchNorm", "weight"});
  expect_error<StateError>([&] { bare.bias(); }, {"bias"});
  expect_error<StateError>([&] { bare.running_mean(); }, {"running statistics"});
  expect_error<StateError>([&] { bare.running_var(); }, {"running statistics"});
  expect_error<StateError>([&] { bare.num_batches_tracked(); }, {"running statistics"});
}

TEST(BatchNorm1D, RefusesMisuse) {
  expect_error<ArgumentError>([] { BatchNorm1D<float>(0); }, {"BatchNorm1D"});
  BatchNorm1D<float> layer(3);
  expect_error<ShapeError>(
      [&] {
        layer.forward(full<float>({2, 4}, 0));
      },
      {"BatchNorm1D", "(N, 3) or (N, 3, L)", "(2, 4)"});
  expect_error<ShapeError>([&] { layer.forward(full<float>({3}, 0)); }, {"BatchNorm1D", "(3)"});
  expect_error<ShapeError>([&] { layer.forward(full<float>({2, 3, 4, 4}, 0)); }, {"(2, 3, 4, 4)"});
  expect_error<ShapeError>(
      [&] {
        layer.forward(full<float>({1, 3}, 0));
      },
      {"more than one value per channel"});
  layer.eval();
  EXPECT_EQ(layer.forward(full<float>({1, 3}, 1)).shape(), (Shape{1, 3}));
}

TEST(SpatialBatchNorm, DescribesItself) {
  EXPECT_EQ(SpatialBatchNorm<float>(32).options(), "32");
  EXPECT_EQ(SpatialBatchNorm<float>(32, {.eps = 0.001, .momentum = 0.01, .unbiased = true}).options(),
            "32, momentum 0.01, unbiased, eps 0.001");
  EXPECT_EQ(SpatialBatchNorm<float>(8, {.momentum = std::nullopt, .minimum_factor = 0.1, .affine = false})
                .options(),
            "8, cumulative average (factor >= 0.1), no weight and bias");
}

}  // namespace
}  // namespace strata
