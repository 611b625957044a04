#include "tests/layers/layer_checks.hpp"
#include "tests/layers/linear_results.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

template <class T>
class LinearOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(LinearOf, Types);

TYPED_TEST(LinearOf, EqualsTheFormula) {
  using T = TypeParam;
  for (const auto& [batch, in, out] : {std::array<std::size_t, 3>{1, 1, 1},
                                       {3, 5, 2},
                                       {1, 7, 9},
                                       {1, 300, 200},
                                       {4, 301, 203},
                                       {5, 300, 100},
                                       {16, 301, 203},
                                       {17, 300, 100},
                                       {64, 300, 200},
                                       {20, 300, 100},
                                       {5, 1, 4},
                                       {200, 33, 1},
                                       {300, 2, 500},
                                       {299, 100, 70},
                                       {0, 4, 3}})
    for (const bool bias : {true, false}) {
      Linear<T> layer(static_cast<Index>(in), static_cast<Index>(out), {.bias = bias});
      SCOPED_TRACE(layer.options() + ", batch " + std::to_string(batch));
      const auto x = Random(1).normal<T>({batch, in}), dy = Random(2).normal<T>({batch, out});
      const Tensor<T>& weight = layer.weight().value;
      for (Parameter<T>* parameter : layer.parameters())
        parameter->gradient.fill(std::numeric_limits<T>::quiet_NaN());
      const auto want = testing::reference_linear(
          testing::widen(x), testing::widen(weight),
          bias ? testing::widen(layer.bias().value) : Tensor<double>(), testing::widen(dy));
      // Sums of at most 300 products of size one.
      const double tolerance = 300 * static_cast<double>(std::numeric_limits<T>::epsilon());
      EXPECT_TRUE(testing::near(layer.forward(x), want.y, tolerance));
      EXPECT_TRUE(testing::near(layer.backward(dy), want.dx, tolerance));
      EXPECT_TRUE(testing::near(layer.weight().gradient, want.dw, tolerance));
      if (bias) {
        EXPECT_TRUE(testing::near(layer.bias().gradient, want.db, tolerance));
      }

      const Tensor<T> weight_gradient = layer.weight().gradient;
      layer.weight().gradient.fill(0);
      layer.forward(x);
      layer.backward_parameters(dy);
      EXPECT_TRUE(testing::same_bits(layer.weight().gradient, weight_gradient));
    }
}

TYPED_TEST(LinearOf, KeepsTheContract) {
  using T = TypeParam;
  testing::expect_contract<T>(Linear<T>(301, 203), Random(1).normal<T>({65, 301}));
  testing::expect_contract<T>(Linear<T>(2048, 256, {.bias = false}), Random(1).normal<T>({64, 2048}));
  testing::expect_contract<T>(Linear<T>(2048, 256), Random(1).normal<T>({1, 2048}));
}

TYPED_TEST(LinearOf, ParametersStartAsPyTorchs) {
  using T = TypeParam;
  Linear<T> layer(400, 50);
  layer.initialize(1);
  const Parameter<T>& weight = layer.weight();
  double most = 0, squares = 0;
  for (const T value : weight.value) {
    most = std::max(most, std::abs(static_cast<double>(value)));
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  EXPECT_LE(most, 0.05);  // 1 / sqrt(400)
  EXPECT_GT(most, 0.049);
  EXPECT_NEAR(squares / 20'000, 0.05 * 0.05 / 3, 5e-5);  // the variance of a uniform distribution
  for (const T value : layer.bias().value) EXPECT_LE(std::abs(static_cast<double>(value)), 0.05);

  Linear<T> same(400, 50), other(400, 50);
  same.initialize(1);
  other.initialize(2);
  EXPECT_TRUE(testing::same_bits(same.weight().value, weight.value));
  EXPECT_FALSE(testing::same_bits(other.weight().value, weight.value));
}

TEST(Linear, GradientIsRight) {
  testing::expect_right_gradients(Linear<double>(5, 4), Random(1).normal<double>({3, 5}));
  testing::expect_right_gradients(Linear<double>(1, 6, {.bias = false}), Random(1).normal<double>({1, 1}));
}

TEST(Linear, DescribesItself) {
  Linear<float> layer(5, 4);
  EXPECT_EQ(layer.options(), "5 -> 4");
  EXPECT_EQ(Linear<float>(5, 4, {.bias = false}).options(), "5 -> 4, no bias");
  EXPECT_EQ(layer.output_shape({7, 5}), (Shape{7, 4}));
  EXPECT_EQ(layer.multiply_adds({7, 5}), 140u);
  EXPECT_EQ(layer.parameter_count(), 24);
  EXPECT_EQ(layer.named_parameters()[0].first, "weight");
  EXPECT_EQ(layer.named_parameters()[1].first, "bias");
  EXPECT_TRUE(layer.weight().decay);
  EXPECT_FALSE(layer.bias().decay);
}

TEST(Linear, ClonesHaveTheirOwnParameters) {
  Linear<double> layer(2, 2);
  const auto clone = layer.clone();
  const Tensor<double> before = layer.weight().value;
  clone->parameters()[0]->value.fill(7);
  EXPECT_EQ(layer.weight().value, before);
}

TEST(Linear, RefusesMisuse) {
  EXPECT_THAT(
      [] { Linear<float>(0, 3); },
      ThrowsMessage<ArgumentError>(HasSubstr("Linear: expected at least 1 feature in and out, got 0 -> 3")));
  EXPECT_THROW(Linear<float>(3, -1), ArgumentError);
  Linear<float> layer(5, 4, {.bias = false});
  EXPECT_THAT(
      [&] {
        layer.forward(full<float>({7, 6}, 0));
      },
      ThrowsMessage<ShapeError>(HasSubstr("Linear: expected (N, 5), got (7, 6)")));
  EXPECT_THROW(layer.infer(full<float>({5}, 0)), ShapeError);
  EXPECT_THAT([&] { layer.bias(); }, ThrowsMessage<StateError>(HasSubstr("Linear: was made without a bias")));
}

}  // namespace
}  // namespace strata
