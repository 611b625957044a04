#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/convolution/pixels.hpp"
#include "tests/framework/kernels_only.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using namespace strata::testing;

template <class T>
void compare_random_cases(int count, double tolerance) {
  for (int seed = 0; seed < count; ++seed) {
    Random random(static_cast<std::uint64_t>(seed));
    const ConvCase c = random_conv_case(random);
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    compare<false, T>(c, random, tolerance);
  }
}

TEST(Conv2D, EqualsThePlainLoopsInDouble) {
  compare_random_cases<double>(400, 1e-12);
}

TEST(Conv2D, EqualsThePlainLoopsInFloat) {
  compare_random_cases<float>(400, 1e-5);
}

// Shapes for which an image is cut into blocks, or several images share one.
TEST(Conv2D, EqualsThePlainLoopsForLargerShapes) {
  const ConvCase cases[] = {
      {.batch = 2, .in_channels = 3, .out_channels = 8, .size = {67, 71}, .kernel = 5, .padding = 2},
      {.batch = 1, .in_channels = 40, .out_channels = 24, .size = {33, 30}, .kernel = 3, .padding = 1},
      {.batch = 1, .in_channels = 2, .out_channels = 3, .size = {1, 9000}, .kernel = {1, 7}, .stride = 2},
      {.batch = 19, .in_channels = 8, .out_channels = 8, .size = 6, .kernel = 5, .stride = 2, .padding = 2},
      {.batch = 37, .in_channels = 8, .out_channels = 16, .size = 7, .kernel = 1},
      {.batch = 2, .in_channels = 8, .out_channels = 16, .size = {70, 70}, .kernel = 1},
      {.batch = 3, .in_channels = 16, .out_channels = 16, .size = {40, 41}, .kernel = 3, .groups = 16},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(7);
    compare<false, double>(c, random, 1e-12);
    compare<false, float>(c, random, 1e-5);
  }
}

TEST(Conv2D, CrossCorrelates) {
  Conv2D<double> layer(1, 1, {1, 2});
  layer.weight().value = Tensor<double>{{{{1, 10}}}};
  layer.bias().value = Tensor<double>{100};
  EXPECT_EQ(layer.forward(Tensor<double>{{{{1, 2, 3}}}}), (Tensor<double>{{{{121, 132}}}}));
}

TEST(Conv2D, GivesTheSameBitsForAnyNumberOfThreads) {
  const int before = num_threads();
  const ConvCase cases[] = {
      {.batch = 33, .in_channels = 5, .out_channels = 7, .size = {13, 9}, .kernel = {3, 5}, .padding = 2},
      {.batch = 1, .in_channels = 24, .out_channels = 12, .size = {50, 40}, .kernel = 3, .stride = 2},
      {.batch = 9, .in_channels = 12, .out_channels = 12, .size = 11, .kernel = 3, .padding = 1, .groups = 4},
      {.batch = 33, .in_channels = 16, .out_channels = 32, .size = {14, 15}, .kernel = 3, .padding = 1},
      {.batch = 21, .in_channels = 3, .out_channels = 32, .size = 32, .kernel = 3, .padding = 1},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(3);
    auto layer = make_layer<false, float>(c);
    const auto x = random.normal<float>(shape4(c.batch, c.in_channels, c.size.h, c.size.w));
    const auto dy = random.normal<float>(layer.output_shape(x.shape()));
    set_num_threads(1);
    const auto one = run<float>(layer, x, dy);
    for (const int threads : {2, 3, 5}) {
      set_num_threads(threads);
      const auto many = run<float>(layer, x, dy);
      EXPECT_TRUE(same_bits(many.y, one.y)) << threads << " threads";
      EXPECT_TRUE(same_bits(many.dx, one.dx)) << threads << " threads";
      EXPECT_TRUE(same_bits(many.dw, one.dw)) << threads << " threads";
      EXPECT_TRUE(same_bits(many.db, one.db)) << threads << " threads";
    }
  }
  set_num_threads(before);
}

TEST(Conv2D, GradientsEqualDifferences) {
  struct {
    Conv2D<double> layer;
    Shape input;
  } cases[] = {
      {Conv2D<double>(3, 4, 3, {.padding = 1}), {2, 3, 5, 6}},
      {Conv2D<double>(2, 3, {3, 2}, {.stride = {2, 3}, .padding = {2, 0}, .bias = false}), {3, 2, 6, 7}},
      {Conv2D<double>(4, 6, 3, {.padding = 2, .dilation = {1, 2}, .groups = 2}), {1, 4, 4, 5}},
      {Conv2D<double>(3, 3, 3, {.padding = 1, .groups = 3}), {2, 3, 1, 7}},
      {Conv2D<double>(1, 2, 2, {.stride = 3}), {2, 1, 8, 8}},
  };
  for (auto& [layer, input] : cases) {
    Random random(8);
    const GradientReport report = check_gradients(layer, random.normal<double>(input));
    EXPECT_TRUE(report.passed()) << report;
  }
}

TEST(Conv2D, GradientsEqualDifferencesInsideANetwork) {
  manual_seed(4);
  const Sequential<double> net{Conv2D<double>(2, 3, 3, {.padding = 1, .bias = false}),
                               SpatialBatchNorm<double>(3),
                               Tanh<double>(),
                               Conv2D<double>(3, 4, {1, 3}, {.stride = 2}),
                               Sigmoid<double>(),
                               ConvTranspose2D<double>(4, 2, 3, {.stride = 2, .padding = 1}),
                               Flatten<double>(),
                               Linear<double>(2 * 5 * 3, 3)};
  Random random(8);
  const GradientReport report = check_gradients(net, random.normal<double>({3, 2, 5, 6}));
  EXPECT_TRUE(report.passed()) << report;
}

TEST(Conv2D, CopiesHaveTheirOwnParameters) {
  Conv2D<double> layer(2, 3, 3);
  auto copy = layer.clone();
  const Tensor<double> weight = layer.weight().value;
  layer.weight().value.fill(0);
  EXPECT_EQ(copy->parameters()[0]->value, weight);
  EXPECT_EQ(copy->parameters().size(), 2u);
}

TEST(Conv2D, StartsWithinPyTorchsBounds) {
  Conv2D<float> layer(8, 16, {3, 5}, {.groups = 2});
  layer.initialize(1);
  const double bound = 1 / std::sqrt(4 * 15.0);
  for (Parameter<float>* parameter : layer.parameters()) {
    const double largest = *std::max_element(parameter->value.begin(), parameter->value.end());
    EXPECT_LE(largest, bound);
    EXPECT_GE(largest, 0.7 * bound);
  }
  EXPECT_TRUE(layer.parameters()[0]->decay);
  EXPECT_FALSE(layer.parameters()[1]->decay);
}

TEST(Conv2D, DescribesItself) {
  const KernelsOnly kernels_only;
  EXPECT_EQ(Conv2D<float>(3, 32, 3, {.padding = 1, .bias = false}).options(),
            "3 -> 32, kernel 3x3, padding 1, no bias");
  EXPECT_EQ(Conv2D<float>(4, 8, {3, 5}, {.stride = {2, 1}, .dilation = 2, .groups = 4}).options(),
            "4 -> 8, kernel 3x5, stride 2x1, dilation 2, groups 4");
  const Shape images{64, 32, 16, 16};
  EXPECT_EQ(Conv2D<float>(32, 32, 3).algorithm(images), "winograd 4x4");
  EXPECT_EQ(Conv2D<float>(32, 32, 3, {.winograd = false}).algorithm(images), "direct");
  EXPECT_EQ(Conv2D<float>(32, 32, 7).algorithm(images), "direct");
  EXPECT_EQ(Conv2D<float>(32, 32, 1).algorithm(images), "pointwise");
  EXPECT_EQ(Conv2D<double>(32, 32, 3).algorithm(images), "gemm");
  EXPECT_EQ(Conv2D<float>(3, 32, 3, {.padding = 1}).multiply_adds({2, 3, 10, 10}), 2u * 32 * 100 * 27);
  EXPECT_EQ(Conv2D<float>(4, 8, 1, {.groups = 4}).multiply_adds({1, 4, 5, 5}), 8u * 25);
}

// Winograd needs a 3x3 or 5x5 kernel, channels to add up (for 3x3 more than four, unless the outputs are
// few), and more than two tiles of 4x4, of which it cuts up to four into smaller ones for 3x3; the direct
// algorithm, output channels that fill half of its vectors, or groups that fill them.
TEST(Conv2D, ChoosesTheAlgorithmByTheShape) {
  const KernelsOnly kernels_only;
  const Conv2D<float> padded(32, 32, 3, {.padding = 1});
  EXPECT_EQ(padded.algorithm({2, 32, 4, 4}), "direct");
  EXPECT_EQ(padded.algorithm({1, 32, 4, 8}), "direct");
  EXPECT_EQ(padded.algorithm({3, 32, 4, 4}), "winograd 2x2");
  EXPECT_EQ(padded.algorithm({1, 32, 4, 9}), "winograd 2x2");
  EXPECT_EQ(padded.algorithm({1, 32, 8, 8}), "winograd 2x2");
  EXPECT_EQ(padded.algorithm({5, 32, 4, 4}), "winograd 4x4");
  EXPECT_EQ(padded.algorithm({1, 32, 8, 9}), "winograd 4x4");
  EXPECT_EQ(Conv2D<float>(32, 32, 5, {.padding = 2}).algorithm({3, 32, 4, 4}), "winograd 4x4");
  EXPECT_EQ(Conv2D<float>(5, 32, 5, {.padding = 4}).algorithm({8, 5, 16, 16}), "winograd 4x4");
  testing::for_each_instruction_set([] {
    const bool direct = instruction_set() == InstructionSet::avx512;
    EXPECT_EQ(Conv2D<float>(4, 32, 5).algorithm({8, 4, 16, 16}), direct ? "direct" : "winograd 4x4");
  });
  EXPECT_EQ(Conv2D<float>(4, 32, 3).algorithm({8, 4, 16, 16}), "direct");
  EXPECT_EQ(Conv2D<float>(5, 32, 3).algorithm({8, 5, 16, 16}), "winograd 4x4");
  EXPECT_EQ(Conv2D<float>(4, 1, 3).algorithm({8, 4, 16, 16}), "winograd 4x4");
  EXPECT_EQ(Conv2D<float>(1, 32, 5, {.padding = 4}).algorithm({8, 1, 16, 16}), "direct");
  EXPECT_EQ(Conv2D<float>(2, 32, 7).algorithm({8, 2, 16, 16}), "direct");
  for (const Conv2DOptions& options : {Conv2DOptions{.stride = 2}, {.padding = {0, 3}}, {.dilation = 2}})
    EXPECT_EQ(Conv2D<float>(32, 32, 3, options).algorithm({8, 32, 16, 16}), "direct");
  EXPECT_EQ(Conv2D<float>(32, 32, 1).algorithm({2, 32, 8, 8}), "pointwise");
  EXPECT_EQ(Conv2D<float>(32, 32, 1).algorithm({1, 32, 127, 1}), "gemm");
  EXPECT_EQ(Conv2D<float>(32, 32, 1, {.padding = 1}).algorithm({8, 32, 16, 16}), "gemm");
  EXPECT_EQ(Conv2D<float>(64, 64, 1, {.groups = 2}).algorithm({8, 64, 16, 16}), "pointwise");
  EXPECT_EQ(Conv2D<float>(62, 62, 1, {.groups = 2}).algorithm({8, 62, 16, 16}), "gemm");
  EXPECT_EQ(Conv2D<float>(64, 64, 1, {.groups = 64}).algorithm({8, 64, 16, 16}), "depthwise");
  EXPECT_EQ(Conv2D<float>(64, 64, 3, {.padding = 1, .groups = 64}).algorithm({8, 64, 40, 16}), "depthwise");
  EXPECT_EQ(Conv2D<float>(64, 64, 3, {.padding = 1, .groups = 64}).algorithm({8, 64, 16, 17}), "grouped");
  testing::for_each_instruction_set([] {
    const Index half = kernels::table<kernels::PixelLayout>().lanes / 2;
    EXPECT_EQ(Conv2D<float>(3, half, 7).algorithm({8, 3, 16, 16}), "direct");
    EXPECT_EQ(Conv2D<float>(3, half - 1, 7).algorithm({8, 3, 16, 16}), "gemm");
    EXPECT_EQ(Conv2D<float>(3, 2 * half + 1, 7).algorithm({8, 3, 16, 16}), "direct");
    const Index full = std::max<Index>(2 * half, 8);
    const auto of_two_groups = [](Index channels) {
      return Conv2D<float>(2 * channels, 2 * channels, 5, {.groups = 2})
          .algorithm({8, static_cast<std::size_t>(2 * channels), 16, 16});
    };
    EXPECT_EQ(of_two_groups(full), "direct");
    EXPECT_EQ(of_two_groups(full / 2), "grouped");
    EXPECT_EQ(of_two_groups(full + half), "grouped");
  });
}

template <class Call>
void expect_argument_error(const Call& call, const std::string& part) {
  EXPECT_THAT(call, ThrowsMessage<ArgumentError>(HasSubstr(part)));
}

TEST(Conv2D, RefusesBadOptions) {
  expect_argument_error([] { Conv2D<float>(0, 1, 3); },
                        "Conv2D: expected at least 1 channel in and out, got 0 -> 1");
  expect_argument_error([] { Conv2D<float>(1, -2, 3); },
                        "Conv2D: expected at least 1 channel in and out, got 1 -> -2");
  expect_argument_error([] { Conv2D<float>(1, 1, {3, 0}); }, "Conv2D: kernel must be at least 1, got 3x0");
  expect_argument_error([] { Conv2D<float>(1, 1, 3, {.stride = 0}); },
                        "Conv2D: stride must be at least 1, got 0x0");
  expect_argument_error(
      [] {
        Conv2D<float>(1, 1, 3, {.padding = {0, -1}});
      },
      "Conv2D: padding must be at least 0, got 0x-1");
  expect_argument_error(
      [] {
        Conv2D<float>(1, 1, 3, {.dilation = {0, 2}});
      },
      "Conv2D: dilation must be at least 1, got 0x2");
  expect_argument_error([] { Conv2D<float>(4, 6, 3, {.groups = 3}); },
                        "Conv2D: groups must divide both channel counts, got 3 groups for 4 -> 6");
  expect_argument_error([] { Conv2D<float>(4, 6, 3, {.groups = 0}); }, "got 0 groups");
}

TEST(Conv2D, RefusesShapesThatDoNotFit) {
  Conv2D<float> layer(3, 4, 5, {.padding = 1, .dilation = 2});
  layer.set_path("features.0");
  const auto forward = [&](Shape shape) { return [&layer, shape] { layer.forward(full<float>(shape, 0)); }; };
  EXPECT_THAT(
      forward({2, 4, 9, 9}),
      ThrowsMessage<ShapeError>("Conv2D 'features.0': expected (N, 3, H, W) with N >= 1, got (2, 4, 9, 9)"));
  EXPECT_THAT(forward({3, 9, 9}), ThrowsMessage<ShapeError>(HasSubstr("expected (N, 3, H, W)")));
  EXPECT_THAT(forward({0, 3, 9, 9}), ThrowsMessage<ShapeError>(HasSubstr("got (0, 3, 9, 9)")));
  EXPECT_THAT(forward({1, 3, 9, 6}),
              ThrowsMessage<ShapeError>(
                  "Conv2D 'features.0': expected an image whose padded size is at least the window's 9x9 "
                  "(3 -> 4, kernel 5x5, padding 1, dilation 2), got (1, 3, 9, 6)"));
  EXPECT_THAT(
      [] {
        Conv2D<float>(1, 1, 1, {.padding = 1}).infer(full<float>({1, 1, 0, 4}, 0));
      },
      ThrowsMessage<ShapeError>(HasSubstr("got (1, 1, 0, 4)")));
}

TEST(Conv2D, RefusesCallsOutOfOrder) {
  Conv2D<float> layer(1, 2, 3, {.bias = false});
  EXPECT_THAT(
      [&] {
        layer.backward(full<float>({1, 2, 3, 3}, 0));
      },
      ThrowsMessage<StateError>("Conv2D: backward needs a forward before it"));
  layer.forward(full<float>({1, 1, 5, 5}, 1));
  EXPECT_THAT(
      [&] {
        layer.backward(full<float>({1, 2, 5, 5}, 0));
      },
      ThrowsMessage<ShapeError>(HasSubstr("(1, 2, 3, 3), got (1, 2, 5, 5)")));
  layer.backward(full<float>({1, 2, 3, 3}, 0));  // the refused call has changed nothing
  EXPECT_THAT(
      [&] {
        layer.backward(full<float>({1, 2, 3, 3}, 0));
      },
      ThrowsMessage<StateError>(HasSubstr("backward needs a forward")));
  EXPECT_THAT([&] { layer.bias(); }, ThrowsMessage<StateError>("Conv2D: was made without a bias"));
}

}  // namespace
}  // namespace strata
