// GroupNorm and LayerNorm.
#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

template <class L>
L with_random_parameters(L layer, std::uint64_t seed) {
  Random random(seed);
  const Shape shape = layer.weight().value.shape();
  layer.weight().value = random.normal<double>(shape, 0, 1.5);
  layer.bias().value = random.normal<double>(shape);
  return layer;
}

TEST(GroupNorm, Gradients) {
  for (const Shape& shape : {Shape{2, 6}, {3, 6, 5}, {1, 6, 1, 7}, {2, 6, 4, 5}})
    for (const Index groups : {1, 2, 3}) {
      const auto x = Random(1).normal<double>(shape, 3, 2);
      const GradientReport report =
          check_gradients(with_random_parameters(GroupNorm<double>(groups, 6), 2), x);
      EXPECT_TRUE(report.passed()) << report;
      const GradientReport plain = check_gradients(GroupNorm<double>(groups, 6, {.affine = false}), x);
      EXPECT_TRUE(plain.passed()) << plain;
    }
}

TEST(LayerNorm, Gradients) {
  for (const Shape& normalized : {Shape{5}, {4, 5}, {3, 4, 5}}) {
    const auto x = Random(1).normal<double>({2, 3, 4, 5}, 3, 2);
    const GradientReport report =
        check_gradients(with_random_parameters(LayerNorm<double>(normalized), 2), x);
    EXPECT_TRUE(report.passed()) << report;
    const GradientReport plain = check_gradients(LayerNorm<double>(normalized, {.affine = false}), x);
    EXPECT_TRUE(plain.passed()) << plain;
  }
}

TEST(GroupNorm, GradientsBetweenOtherLayers) {
  Sequential<double> net{Conv2D<double>(2, 4, 3, {.padding = 1}),
                         with_random_parameters(GroupNorm<double>(2, 4), 1),
                         Tanh<double>(),
                         Flatten<double>(),
                         with_random_parameters(LayerNorm<double>(Shape{4 * 3 * 5}), 2),
                         Linear<double>(4 * 3 * 5, 3)};
  const GradientReport report = check_gradients(net, Random(3).normal<double>({2, 2, 3, 5}));
  EXPECT_TRUE(report.passed()) << report;
}

TEST(GroupNorm, OfSingleChannelsIsInstanceNorm) {
  const auto x = Random(1).normal<float>({3, 4, 7, 6});
  EXPECT_TRUE(testing::same_bits(GroupNorm<float>(4, 4).forward(x), InstanceNorm2D<float>(4).forward(x)));
}

TEST(GroupNorm, KeepsTheContract) {
  testing::expect_contract(GroupNorm<float>(8, 32), Random(1).normal<float>({16, 32, 32, 32}, 1, 2));
  testing::expect_contract(GroupNorm<float>(1, 3), Random(1).normal<float>({1, 3, 300, 400}, 1, 2));
  testing::expect_contract(GroupNorm<double>(5, 100), Random(1).normal<double>({600, 100, 3}));
}

TEST(LayerNorm, KeepsTheContract) {
  testing::expect_contract(LayerNorm<float>(Shape{512}), Random(1).normal<float>({1000, 512}, 1, 2));
  testing::expect_contract(LayerNorm<double>(Shape{3, 5}, {.affine = false}),
                           Random(1).normal<double>({2, 7, 3, 5}));
}

template <class E, class F>
void expect_error(const F& f, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_THAT(f, ThrowsMessage<E>(HasSubstr(part)));
}

TEST(GroupNorm, RefusesMisuse) {
  using L = GroupNorm<float>;
  expect_error<ArgumentError>([] { L(0, 4); }, {"GroupNorm", "4 channels", "got 0"});
  expect_error<ArgumentError>([] { L(3, 4); }, {"GroupNorm", "divides the 4 channels", "got 3"});
  expect_error<ArgumentError>([] { L(1, 0); }, {"GroupNorm", "at least 1 channel"});
  expect_error<ArgumentError>([] { L(2, 4, {.eps = -1}); }, {"GroupNorm", "eps > 0"});
  L layer(2, 4);
  expect_error<ShapeError>(
      [&] {
        layer.forward(full<float>({2, 3, 4, 4}, 0));
      },
      {"GroupNorm: expected (N, 4, ...)", "(2, 3, 4, 4)"});
  expect_error<ShapeError>([&] { layer.forward(full<float>({4}, 0)); }, {"(4)"});
  expect_error<StateError>([] { L(2, 4, {.affine = false}).weight(); }, {"GroupNorm", "weight"});
  EXPECT_EQ(layer.options(), "4 in 2 groups");
}

TEST(LayerNorm, RefusesMisuse) {
  using L = LayerNorm<float>;
  expect_error<ArgumentError>([] { L(Shape{}); }, {"LayerNorm", "at least one axis", "()"});
  expect_error<ArgumentError>([] { L(Shape{3, 0}); }, {"LayerNorm", "(3, 0)"});
  expect_error<ArgumentError>([] { L(Shape{3}, {.eps = 0}); }, {"LayerNorm", "eps > 0"});
  L layer(Shape{4, 5});
  expect_error<ShapeError>(
      [&] {
        layer.forward(full<float>({2, 5, 4}, 0));
      },
      {"LayerNorm: expected (..., 4, 5)", "(2, 5, 4)"});
  expect_error<ShapeError>([&] { layer.forward(full<float>({5}, 0)); }, {"(5)"});
  expect_error<StateError>([] { L(Shape{3}, {.affine = false}).bias(); }, {"LayerNorm", "bias"});
  EXPECT_EQ(layer.options(), "(4, 5)");
}

}  // namespace
}  // namespace strata
