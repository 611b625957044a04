#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
    const ConvCase c = random_conv_transpose_case(random);
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    compare<true, T>(c, random, tolerance);
  }
}

TEST(ConvTranspose2D, EqualsThePlainLoopsInDouble) {
  compare_random_cases<double>(400, 1e-12);
}

TEST(ConvTranspose2D, EqualsThePlainLoopsInFloat) {
  compare_random_cases<float>(400, 1e-5);
}

TEST(ConvTranspose2D, EqualsThePlainLoopsForLargerShapes) {
  const ConvCase cases[] = {
      {.batch = 2,
       .in_channels = 8,
       .out_channels = 4,
       .size = {40, 37},
       .kernel = 4,
       .stride = 2,
       .padding = 1},
      {.batch = 9, .in_channels = 16, .out_channels = 24, .size = {14, 13}, .kernel = 3, .padding = 1},
      {.batch = 21, .in_channels = 8, .out_channels = 8, .size = 5, .kernel = 2, .stride = 2},
      {.batch = 1, .in_channels = 32, .out_channels = 16, .size = {50, 60}, .kernel = 1},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(7);
    compare<true, double>(c, random, 1e-12);
    compare<true, float>(c, random, 1e-5);
  }
}

TEST(ConvTranspose2D, PaintsTheKernel) {
  ConvTranspose2D<double> layer(1, 1, {1, 2}, {.stride = 2, .output_padding = {0, 1}});
  layer.weight().value = Tensor<double>{{{{1, 10}}}};
  layer.bias().value = Tensor<double>{100};
  EXPECT_EQ(layer.forward(Tensor<double>{{{{1, 2}}}}), (Tensor<double>{{{{101, 110, 102, 120, 100}}}}));
}

// <conv(x), z> = <x, conv_transpose(z)> for the same weight.
TEST(ConvTranspose2D, IsTheAdjointOfConv2D) {
  Random random(5);
  Conv2D<double> conv(6, 4, {3, 4},
                      {.stride = 2, .padding = 1, .dilation = {2, 1}, .groups = 2, .bias = false});
  ConvTranspose2D<double> transpose(
      4, 6, {3, 4}, {.stride = 2, .padding = 1, .dilation = {2, 1}, .groups = 2, .bias = false});
  transpose.weight().value = conv.weight().value;
  const auto x = random.normal<double>({3, 6, 11, 10});
  const auto y = conv.forward(x);
  const auto z = random.normal<double>(y.shape());
  const auto back = transpose.forward(z);
  ASSERT_EQ(back.shape(), x.shape());
  double left = 0, right = 0;
  for (std::size_t i = 0; i < y.size(); ++i) left += y.data()[i] * z.data()[i];
  for (std::size_t i = 0; i < x.size(); ++i) right += x.data()[i] * back.data()[i];
  EXPECT_NEAR(left, right, 1e-11);
}

TEST(ConvTranspose2D, GivesTheSameBitsForAnyNumberOfThreads) {
  const int before = num_threads();
  const ConvCase cases[] = {
      {.batch = 17,
       .in_channels = 5,
       .out_channels = 6,
       .size = {13, 9},
       .kernel = 4,
       .stride = 2,
       .padding = 1},
      {.batch = 9, .in_channels = 16, .out_channels = 24, .size = {14, 13}, .kernel = 3, .padding = 1},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(3);
    auto layer = make_layer<true, float>(c);
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

TEST(ConvTranspose2D, GradientsEqualDifferences) {
  struct {
    ConvTranspose2D<double> layer;
    Shape input;
  } cases[] = {
      {ConvTranspose2D<double>(3, 4, 3, {.padding = 1}), {2, 3, 5, 4}},
      {ConvTranspose2D<double>(2, 3, {4, 3}, {.stride = {2, 3}, .padding = 1, .output_padding = {0, 2}}),
       {2, 2, 3, 4}},
      {ConvTranspose2D<double>(4, 6, 2, {.stride = 3, .dilation = 2, .groups = 2, .bias = false}),
       {1, 4, 3, 2}},
  };
  for (auto& [layer, input] : cases) {
    Random random(8);
    const GradientReport report = check_gradients(layer, random.normal<double>(input));
    EXPECT_TRUE(report.passed()) << report;
  }
}

// PyTorch takes the fan-in of the weight as it is laid out: output channels of a group times the kernel.
TEST(ConvTranspose2D, StartsWithinPyTorchsBounds) {
  ConvTranspose2D<float> layer(16, 8, {3, 5}, {.groups = 2});
  layer.initialize(1);
  const double bound = 1 / std::sqrt(4 * 15.0);
  for (Parameter<float>* parameter : layer.parameters()) {
    const auto [smallest, largest] = std::minmax_element(parameter->value.begin(), parameter->value.end());
    EXPECT_LE(*largest, bound);
    EXPECT_GE(*smallest, -bound);
    EXPECT_GE(*largest, 0.6 * bound);
    EXPECT_LE(*smallest, -0.6 * bound);
  }
  EXPECT_TRUE(layer.parameters()[0]->decay);
  EXPECT_FALSE(layer.parameters()[1]->decay);
}

TEST(ConvTranspose2D, DescribesItself) {
  const KernelsOnly kernels_only;
  ConvTranspose2D<float> layer(8, 4, 4, {.stride = 2, .padding = 1, .output_padding = 1, .groups = 2});
  EXPECT_EQ(layer.options(), "8 -> 4, kernel 4x4, stride 2, padding 1, output padding 1, groups 2");
  EXPECT_EQ(layer.output_shape({3, 8, 5, 6}), (Shape{3, 4, 11, 13}));
  EXPECT_EQ(layer.multiply_adds({3, 8, 5, 6}), 3u * 8 * 30 * 2 * 16);
  EXPECT_EQ(layer.weight().value.shape(), (Shape{8, 2, 4, 4}));
  EXPECT_EQ(layer.algorithm({3, 8, 5, 6}), "grouped");
  EXPECT_EQ(ConvTranspose2D<float>(32, 32, 3, {.padding = 1}).algorithm({3, 32, 16, 16}), "winograd 4x4");
}

TEST(ConvTranspose2D, RefusesBadOptions) {
  const auto refuses = [](const auto& call, const std::string& message) {
    EXPECT_THAT(call, ThrowsMessage<ArgumentError>(HasSubstr("ConvTranspose2D: " + message)));
  };
  refuses([] { ConvTranspose2D<float>(1, 0, 3); }, "expected at least 1 channel in and out, got 1 -> 0");
  refuses([] { ConvTranspose2D<float>(1, 1, 3, {.stride = {1, 0}}); }, "stride must be at least 1, got 1x0");
  refuses([] { ConvTranspose2D<float>(1, 1, 3, {.padding = -1}); }, "padding must be at least 0");
  refuses([] { ConvTranspose2D<float>(1, 1, 3, {.output_padding = -1}); },
          "output_padding must be at least 0");
  refuses(
      [] {
        ConvTranspose2D<float>(1, 1, 3, {.stride = 2, .output_padding = {1, 2}});
      },
      "output_padding must be smaller than stride or dilation, got 1x2 with stride 2x2 and dilation 1x1");
  refuses([] { ConvTranspose2D<float>(3, 6, 3, {.groups = 2}); }, "groups must divide both channel counts");
}

TEST(ConvTranspose2D, RefusesShapesAndCallsThatDoNotFit) {
  ConvTranspose2D<float> layer(3, 4, 3, {.padding = 2, .bias = false});
  layer.set_path("up");
  const auto forward = [&](Shape shape) { return [&layer, shape] { layer.forward(full<float>(shape, 0)); }; };
  EXPECT_THAT(
      forward({2, 4, 9, 9}),
      ThrowsMessage<ShapeError>("ConvTranspose2D 'up': expected (N, 3, H, W) with N >= 1, got (2, 4, 9, 9)"));
  EXPECT_THAT(forward({0, 3, 9, 9}), ThrowsMessage<ShapeError>(HasSubstr("got (0, 3, 9, 9)")));
  EXPECT_THAT(forward({1, 3, 2, 9}), ThrowsMessage<ShapeError>(HasSubstr(
                                         "expected an image large enough that padding leaves an output "
                                         "(3 -> 4, kernel 3x3, padding 2, no bias), got (1, 3, 2, 9)")));
  EXPECT_THAT(
      [&] {
        layer.backward(full<float>({1, 4, 3, 3}, 0));
      },
      ThrowsMessage<StateError>(HasSubstr("'up': backward needs a forward")));
  layer.forward(full<float>({1, 3, 5, 5}, 1));
  EXPECT_THAT(
      [&] {
        layer.backward(full<float>({1, 4, 5, 5}, 0));
      },
      ThrowsMessage<ShapeError>(HasSubstr("(1, 4, 3, 3), got (1, 4, 5, 5)")));
  EXPECT_THAT([&] { layer.bias(); }, ThrowsMessage<StateError>(HasSubstr("without a bias")));
}

}  // namespace
}  // namespace strata
