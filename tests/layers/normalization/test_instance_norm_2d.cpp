#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>

#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

struct Printed {
  Tensor<double> x, gamma, beta, y;
};

// As the sources print them, to three digits.
const Printed kPrinted[] = {
    {{{{{.497, -.138}, {.648, 1.523}}, {{-.234, -.234}, {1.579, .767}}},
      {{{-.469, .543}, {-.463, -.466}}, {{.242, -1.913}, {-1.725, -.562}}}},
     {1, 1},
     {0, 0},
     {{{{-.229, -1.300}, {.026, 1.502}}, {{-.926, -.926}, {1.460, .392}}},
      {{{-.585, 1.732}, {-.571, -.576}}, {{1.401, -1.050}, {-.836, .486}}}}},
    {{{{{.497, -.138, .648}, {1.523, -.234, -.234}, {1.579, .767, -.469}},
       {{.543, -.463, -.466}, {.242, -1.913, -1.725}, {-.562, -1.013, .314}}}},
     {2, .5},
     {1, -1},
     {{{{1.164, -.595, 1.582}, {4.006, -.860, -.860}, {4.161, 1.913, -1.512}},
       {{-.327, -.941, -.942}, {-.510, -1.826, -1.711}, {-1.001, -1.276, -.466}}}}},
    {{{{{.257, -.908, -.379, -.535},
        {.858, -.413, .498, 2.010},
        {1.263, -.439, -.346, .455},
        {-1.669, -.862, .493, -.124}}}},
     {1.5},
     {.5},
     {{{{.921, -1.064, -.161, -.428},
        {1.944, -.220, 1.331, 3.906},
        {2.633, -.265, -.107, 1.258},
        {-2.358, -.985, 1.322, .271}}}}},
};

TEST(InstanceNorm2D, GivesTheNumbersOfItsSource) {
  for (const auto& [x, gamma, beta, y] : kPrinted) {
    EXPECT_TRUE(testing::near(channel_wise_spatial_normalization(x, gamma, beta, 1e-5), y, 2e-3));
    InstanceNorm2D<double> layer(static_cast<Index>(x.shape()[1]));
    layer.weight().value = gamma;
    layer.bias().value = beta;
    EXPECT_TRUE(
        testing::same_bits(layer.forward(x), channel_wise_spatial_normalization(x, gamma, beta, 1e-5)));
    InstanceNorm2D<float> narrow(static_cast<Index>(x.shape()[1]));
    narrow.weight().value = gamma;
    narrow.bias().value = beta;
    EXPECT_TRUE(testing::near(narrow.forward(x), y, 2e-3));
  }
}

TEST(InstanceNorm2D, EachPlaneGetsMeanBetaAndDeviationGamma) {
  InstanceNorm2D<double> layer(3, {.eps = 1e-14});
  layer.weight().value = Tensor<double>{3, 4, 5};
  layer.bias().value = Tensor<double>{6, 7, 8};
  const Tensor<double> y = layer.forward(Random(2).normal<double>({4, 3, 5, 6}, 10, 4));
  for (std::size_t n = 0; n < 4; ++n)
    for (std::size_t c = 0; c < 3; ++c) {
      const Tensor<double> plane = xt::view(y, n, c);
      EXPECT_NEAR(xt::mean(plane)(), layer.bias().value(c), 1e-12);
      EXPECT_NEAR(xt::stddev(plane)(), layer.weight().value(c), 1e-12);
    }
}

TEST(InstanceNorm2D, Gradients) {
  Random random(5);
  for (const Shape& shape : {Shape{2, 3, 4, 5}, {3, 2, 1, 7}, {1, 1, 3, 3}, {2, 2, 3, 1}, {2, 3, 5, 4}})
    for (const bool affine : {true, false})
      for (const bool track : {true, false}) {
        InstanceNorm2D<double> layer(static_cast<Index>(shape[1]),
                                     {.affine = affine, .track_running_stats = track});
        if (affine) {
          layer.weight().value = random.normal<double>({shape[1]}, 0, 1.5);
          layer.bias().value = random.normal<double>({shape[1]});
        }
        if (track) {
          layer.running_mean() = random.normal<double>({shape[1]});
          layer.running_var() = random.uniform<double>({shape[1]}, 0.3, 3);
        }
        const GradientReport report = check_gradients(layer, random.normal<double>(shape, 12, 5));
        EXPECT_TRUE(report.passed()) << report;
      }
}

TEST(InstanceNorm2D, GradientsBetweenOtherLayers) {
  InstanceNorm2D<double> first(3), second(2, {.track_running_stats = true});
  first.weight().value = Tensor<double>{1.3, -0.4, 2.2};
  first.bias().value = Tensor<double>{0.1, 0.7, -1};
  second.weight().value = Tensor<double>{-0.8, 1.9};
  Sequential<double> net{Conv2D<double>(2, 3, 3, {.padding = 1}),
                         first,
                         Tanh<double>(),
                         Conv2D<double>(3, 2, 2),
                         second,
                         Flatten<double>(),
                         Linear<double>(2 * 3 * 4, 3)};
  const GradientReport report = check_gradients(net, Random(3).normal<double>({3, 2, 4, 5}));
  EXPECT_TRUE(report.passed()) << report;
}

TEST(InstanceNorm2D, SamplesDoNotSeeEachOther) {
  InstanceNorm2D<float> layer(3);
  const auto x = Random(1).normal<float>({4, 3, 5, 7}), dy = Random(2).normal<float>(x.shape());
  const Tensor<float> together = layer.forward(x);
  const Tensor<float> gradient = layer.backward(dy);
  for (std::size_t n = 0; n < 4; ++n) {
    const auto sample = [n](const Tensor<float>& t) {
      return Tensor<float>(xt::view(t, xt::range(n, n + 1)));
    };
    EXPECT_TRUE(testing::same_bits<float>(layer.forward(sample(x)), sample(together)));
    EXPECT_TRUE(testing::same_bits<float>(layer.backward(sample(dy)), sample(gradient)));
  }
}

TEST(InstanceNorm2D, EvaluationWithRunningStatisticsIsThatOfBatchNorm) {
  InstanceNorm2D<double> layer(3, {.track_running_stats = true});
  SpatialBatchNorm<double> batch_norm(3);
  layer.forward(Random(1).normal<double>({2, 3, 4, 4}, 2, 3));
  batch_norm.running_mean() = layer.running_mean();
  batch_norm.running_var() = layer.running_var();
  layer.eval();
  batch_norm.eval();
  const auto x = Random(2).normal<double>({2, 3, 4, 4});
  EXPECT_TRUE(testing::same_bits(layer.infer(x), batch_norm.infer(x)));
  EXPECT_NE(layer.infer(x), InstanceNorm2D<double>(3).infer(x));
}

TEST(InstanceNorm2D, InitializeBeginsTheRunningStatisticsAnew) {
  InstanceNorm2D<double> layer(3, {.track_running_stats = true});
  layer.forward(Random(1).normal<double>({2, 3, 4, 4}, 2, 3));
  EXPECT_EQ(layer.num_batches_tracked(), 1);
  layer.weight().value.fill(5);
  layer.initialize(1);
  EXPECT_EQ(layer.weight().value, full<double>({3}, 1));
  EXPECT_EQ(layer.running_mean(), full<double>({3}, 0));
  EXPECT_EQ(layer.running_var(), full<double>({3}, 1));
  EXPECT_EQ(layer.num_batches_tracked(), 0);
}

TEST(InstanceNorm2D, KeepsTheContract) {
  testing::expect_contract(InstanceNorm2D<float>(32), Random(1).normal<float>({16, 32, 32, 32}, 1, 2));
  testing::expect_contract(InstanceNorm2D<float>(2), Random(1).normal<float>({1, 2, 300, 400}, 1, 2));
  testing::expect_contract(InstanceNorm2D<double>(3, {.affine = false, .track_running_stats = true}),
                           Random(1).normal<double>({2, 3, 5, 7}));
  testing::expect_contract(InstanceNorm2D<double>(40), Random(1).normal<double>({200, 40, 2, 5}));
}

TEST(InstanceNorm2D, NamesItsState) {
  InstanceNorm2D<float> layer(2, {.track_running_stats = true});
  std::vector<std::string> names;
  for (const auto& [name, parameter] : layer.named_parameters()) names.push_back(name);
  for (const auto& buffer : layer.named_buffers()) names.push_back(buffer.name);
  EXPECT_THAT(names,
              ::testing::ElementsAre("weight", "bias", "running_mean", "running_var", "num_batches_tracked"));
  EXPECT_TRUE(InstanceNorm2D<float>(2).named_buffers().empty());
  EXPECT_EQ(InstanceNorm2D<float>(2).options(), "2");
  EXPECT_EQ(layer.options(), "2, running statistics");
}

template <class E, class F>
void expect_error(const F& f, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_THAT(f, ThrowsMessage<E>(HasSubstr(part)));
}

TEST(InstanceNorm2D, RefusesMisuse) {
  using L = InstanceNorm2D<float>;
  expect_error<ArgumentError>([] { L(0); }, {"InstanceNorm2D: expected at least 1 channel, got 0"});
  expect_error<ArgumentError>([] { L(3, {.eps = 0}); }, {"InstanceNorm2D", "eps > 0"});
  expect_error<ArgumentError>([] { L(3, {.momentum = 2}); }, {"InstanceNorm2D", "momentum", "2.0"});
  expect_error<ArgumentError>([] { L(3, {.minimum_factor = -1}); }, {"minimum_factor"});
  L layer(3);
  expect_error<ShapeError>(
      [&] {
        layer.forward(full<float>({2, 3, 4}, 0));
      },
      {"InstanceNorm2D: expected (N, 3, H, W)", "(2, 3, 4)"});
  expect_error<ShapeError>([&] { layer.forward(full<float>({2, 2, 4, 4}, 0)); }, {"(2, 2, 4, 4)"});
  expect_error<ShapeError>(
      [&] {
        layer.forward(full<float>({8, 3, 1, 1}, 0));
      },
      {"more than one pixel per channel", "(8, 3, 1, 1)"});
  expect_error<StateError>([&] { layer.running_mean(); }, {"InstanceNorm2D", "running statistics"});
  layer.eval();  // one pixel is its own mean
  EXPECT_EQ(layer.forward(full<float>({8, 3, 1, 1}, 5)), full<float>({8, 3, 1, 1}, 0));

  const auto normalize = [](const Shape& x, const Shape& gamma, const Shape& beta, double eps) {
    return [=] {
      channel_wise_spatial_normalization(full<float>(x, 0), full<float>(gamma, 1), full<float>(beta, 0), eps);
    };
  };
  const std::string name = "channel_wise_spatial_normalization";
  expect_error<ShapeError>(normalize({2, 3}, {3}, {3}, 1e-5), {name, "(2, 3)"});
  expect_error<ShapeError>(normalize({2, 3, 4, 4}, {2}, {3}, 1e-5), {name, "(3)", "(2)"});
  expect_error<ShapeError>(normalize({2, 3, 4, 4}, {3}, {1}, 1e-5), {name, "(1)"});
  expect_error<ArgumentError>(normalize({2, 3, 4, 4}, {3}, {3}, 0), {name, "eps"});
}

}  // namespace
}  // namespace strata
