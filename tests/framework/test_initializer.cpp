#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/error.hpp"
#include "strata/framework/initializer.hpp"

namespace strata {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

const Shape kConv{64, 32, 3, 5};  // fan in 480, fan out 960, 30720 values
constexpr double kFanIn = 32 * 3 * 5, kFanOut = 64 * 3 * 5;

// Mean 0 and this variance, each to five standard deviations; kurtosis is that of the law.
void expect_moments(const Tensor<double>& values, double variance, double kurtosis) {
  const double n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) sum += value, squares += value * value;
  EXPECT_NEAR(sum / n, 0, 5 * std::sqrt(variance / n));
  EXPECT_NEAR(squares / n, variance, 5 * variance * std::sqrt((kurtosis - 1) / n));
}

void expect_uniform(const Tensor<double>& values, double bound) {
  expect_moments(values, bound * bound / 3, 1.8);
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  EXPECT_LE(largest, bound);
  EXPECT_GT(largest, 0.999 * bound);
}

TEST(Fans, CountTheConnections) {
  EXPECT_EQ(fans(kConv).in, kFanIn);
  EXPECT_EQ(fans(kConv).out, kFanOut);
  EXPECT_EQ(fans({10, 20}).in, 20);
  EXPECT_EQ(fans({10, 20}).out, 10);
  EXPECT_THAT([] { fans({10}); }, ThrowsMessage<ShapeError>(AllOf(HasSubstr("two axes"), HasSubstr("(10)"))));
}

TEST(Initializers, KaimingNormal) {
  Random random(1);
  expect_moments(kaiming_normal<double>(kConv, random), 2 / kFanIn, 3);
  expect_moments(kaiming_normal<double>(kConv, random, FanMode::out, 1), 1 / kFanOut, 3);
}

TEST(Initializers, KaimingUniform) {
  Random random(2);
  expect_uniform(kaiming_uniform<double>(kConv, random), std::sqrt(6 / kFanIn));
  expect_uniform(kaiming_uniform<double>(kConv, random, FanMode::out, 1), std::sqrt(3 / kFanOut));
}

TEST(Initializers, XavierNormal) {
  Random random(3);
  expect_moments(xavier_normal<double>(kConv, random), 2 / (kFanIn + kFanOut), 3);
  expect_moments(xavier_normal<double>(kConv, random, 3), 18 / (kFanIn + kFanOut), 3);
}

TEST(Initializers, XavierUniform) {
  Random random(4);
  expect_uniform(xavier_uniform<double>(kConv, random), std::sqrt(6 / (kFanIn + kFanOut)));
  expect_uniform(xavier_uniform<double>(kConv, random, 2), 2 * std::sqrt(6 / (kFanIn + kFanOut)));
}

TEST(Initializers, RepeatForTheSameSeed) {
  Random a(5), b(5), c(6);
  const auto first = kaiming_normal<float>({8, 8}, a);
  EXPECT_EQ(first, kaiming_normal<float>({8, 8}, b));
  EXPECT_NE(first, kaiming_normal<float>({8, 8}, c));
  EXPECT_NE(first, kaiming_normal<float>({8, 8}, a));
}

TEST(Initializers, RefuseAWeightWithoutFans) {
  Random random(7);
  EXPECT_THROW(kaiming_normal<float>({8}, random), ShapeError);
  EXPECT_THROW(kaiming_uniform<float>({8}, random), ShapeError);
  EXPECT_THROW(xavier_normal<float>({8}, random), ShapeError);
  EXPECT_THROW(xavier_uniform<float>({8}, random), ShapeError);
}

}  // namespace
}  // namespace strata
