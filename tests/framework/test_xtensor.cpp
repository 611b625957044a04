// What a layer of a user may write with xtensor, against plain loops: with xtensor 0.24, GCC and C++20,
// reductions over some axes, pad and tile ran into memory that was not theirs (framework/xtensor.hpp).
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "strata/framework/random.hpp"
#include "strata/framework/tensor.hpp"

#if __has_include(<xtensor/xpad.hpp>)
#include <xtensor/xbuilder.hpp>
#include <xtensor/xeval.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xnorm.hpp>
#include <xtensor/xpad.hpp>
#include <xtensor/xsort.hpp>
#include <xtensor/xview.hpp>
#else  // since 0.26
#include <xtensor/core/xeval.hpp>
#include <xtensor/core/xmath.hpp>
#include <xtensor/generators/xbuilder.hpp>
#include <xtensor/misc/xmanipulation.hpp>
#include <xtensor/misc/xpad.hpp>
#include <xtensor/misc/xsort.hpp>
#include <xtensor/reducers/xnorm.hpp>
#include <xtensor/views/xview.hpp>
#endif

namespace strata {
namespace {

using Values = std::vector<double>;

constexpr std::size_t kN = 2, kC = 3, kH = 4, kW = 5;

template <class T>
class Xtensor : public ::testing::Test {
 protected:
  Tensor<T> x_ = Random(1).normal<T>({kN, kC, kH, kW}, 1, 1);

  /// The elements of each channel, of each sample and channel, and all.
  std::vector<Values> channels() const {
    return sets(kC, [](std::size_t, std::size_t c) { return c; });
  }
  std::vector<Values> planes() const {
    return sets(kN * kC, [](std::size_t n, std::size_t c) { return n * kC + c; });
  }
  std::vector<Values> sets(std::size_t count,
                           const std::function<std::size_t(std::size_t, std::size_t)>& set) const {
    std::vector<Values> found(count);
    for (std::size_t n = 0; n < kN; ++n)
      for (std::size_t c = 0; c < kC; ++c)
        for (std::size_t h = 0; h < kH; ++h)
          for (std::size_t w = 0; w < kW; ++w)
            found[set(n, c)].push_back(static_cast<double>(x_(n, c, h, w)));
    return found;
  }

  using Reduce = std::function<double(const Values&)>;
  static void expect_reduced(const Tensor<T>& got, const Shape& shape, const std::vector<Values>& sets,
                             const Reduce& reduce) {
    ASSERT_EQ(got.shape(), shape);
    ASSERT_EQ(got.size(), sets.size());
    for (std::size_t i = 0; i < sets.size(); ++i)
      EXPECT_NEAR(static_cast<double>(got.data()[i]), reduce(sets[i]), 1e-4) << i;
  }
  static double sum(const Values& values) {
    double total = 0;
    for (const double value : values) total += value;
    return total;
  }
  static double mean(const Values& values) { return sum(values) / static_cast<double>(values.size()); }
  static double variance(const Values& values) {
    double total = 0;
    for (const double value : values) total += (value - mean(values)) * (value - mean(values));
    return total / static_cast<double>(values.size());
  }
  static double product(const Values& values) {
    double total = 1;
    for (const double value : values) total *= value;
    return total;
  }
};

using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Xtensor, Types);

TYPED_TEST(Xtensor, ReducesOverSomeAxes) {
  using T = TypeParam;
  const auto& x = this->x_;
  const auto channels = this->channels(), planes = this->planes();
  const auto sum = this->sum, mean = this->mean, variance = this->variance;
  const auto deviation = [&](const Values& values) { return std::sqrt(variance(values)); };
  const auto largest = [](const Values& values) { return *std::max_element(values.begin(), values.end()); };
  const auto least = [](const Values& values) { return *std::min_element(values.begin(), values.end()); };
  const Shape c{kC}, nc{kN, kC};

  // Given as a list, as a vector, evaluated at once or when assigned.
  this->expect_reduced(xt::sum(x, {0, 2, 3}), c, channels, sum);
  const std::vector<std::size_t> axes{0, 2, 3}, of_planes{2, 3};
  this->expect_reduced(xt::sum(x, axes), c, channels, sum);
  this->expect_reduced(xt::sum(x, {0, 2, 3}, xt::evaluation_strategy::immediate), c, channels, sum);
  const auto evaluated = xt::eval(xt::sum(x, {2, 3}));
  this->expect_reduced(evaluated, nc, planes, sum);
  const auto lazy = xt::mean(x, {2, 3});
  this->expect_reduced(lazy, nc, planes, mean);
  this->expect_reduced(xt::mean(x, {0, 2, 3}, xt::keep_dims), {1, kC, 1, 1}, channels, mean);
  this->expect_reduced(xt::variance(x, {0, 2, 3}), c, channels, variance);
  this->expect_reduced(xt::variance(x, of_planes, xt::keep_dims | xt::evaluation_strategy::immediate),
                       {kN, kC, 1, 1}, planes, variance);
  this->expect_reduced(xt::stddev(x, {2, 3}), nc, planes, deviation);
  this->expect_reduced(xt::prod(x, {2, 3}), nc, planes, this->product);
  this->expect_reduced(xt::amax(x, {2, 3}), nc, planes, largest);
  this->expect_reduced(xt::amin(x, {2, 3}), nc, planes, least);
  this->expect_reduced(xt::norm_sq(x, {2, 3}), nc, planes, [](const Values& values) {
    double total = 0;
    for (const double value : values) total += value * value;
    return total;
  });
  // Of expressions; and put together, as a normalizing layer does.
  this->expect_reduced(xt::sum(x * x + T{1}, {2, 3}), nc, planes, [](const Values& values) {
    double total = 0;
    for (const double value : values) total += value * value + 1;
    return total;
  });
  const Tensor<T> center = xt::mean(x, {0, 2, 3}, xt::keep_dims),
                  spread = xt::variance(x, axes, xt::keep_dims),
                  y = (x - center) / xt::sqrt(spread + static_cast<T>(1e-5));
  ASSERT_EQ(y.shape(), x.shape());
  EXPECT_NEAR(
      static_cast<double>(y(1, 2, 3, 4)),
      (static_cast<double>(x(1, 2, 3, 4)) - mean(channels[2])) / std::sqrt(variance(channels[2]) + 1e-5),
      1e-4);
  // Over all axes.
  Values all;
  for (const Values& values : channels) all.insert(all.end(), values.begin(), values.end());
  EXPECT_NEAR(static_cast<double>(xt::sum(x)()), sum(all), 1e-3);
  EXPECT_NEAR(static_cast<double>(xt::variance(x)()), variance(all), 1e-4);
  EXPECT_EQ(static_cast<double>(xt::amax(x)()), largest(all));
}

TYPED_TEST(Xtensor, FindsPlaces) {
  const auto& x = this->x_;
  const auto places = xt::eval(xt::argmax(x, 3));
  ASSERT_EQ(places.size(), kN * kC * kH);
  for (std::size_t w = 0; w < kW; ++w)
    EXPECT_GE(x(1, 2, 3, static_cast<std::size_t>(places(1, 2, 3))), x(1, 2, 3, w));
  const auto sums = xt::eval(xt::cumsum(x, 3));
  EXPECT_NEAR(static_cast<double>(sums(1, 0, 2, 1)), static_cast<double>(x(1, 0, 2, 0) + x(1, 0, 2, 1)),
              1e-5);
}

TYPED_TEST(Xtensor, PadsAndTiles) {
  using T = TypeParam;
  const auto& x = this->x_;
  const Tensor<T> padded = xt::pad(x, {{0, 0}, {0, 0}, {1, 2}, {3, 0}}, xt::pad_mode::constant, T{7});
  ASSERT_EQ(padded.shape(), (Shape{kN, kC, kH + 3, kW + 3}));
  EXPECT_EQ(padded(1, 2, 0, 5), T{7});
  EXPECT_EQ(padded(1, 2, 1, 3), x(1, 2, 0, 0));
  EXPECT_EQ(padded(1, 2, kH, kW + 2), x(1, 2, kH - 1, kW - 1));
  const Tensor<T> mirrored = xt::pad(x, {{0, 0}, {0, 0}, {1, 1}, {1, 1}}, xt::pad_mode::reflect);
  EXPECT_EQ(mirrored(0, 1, 0, 0), x(0, 1, 1, 1));
  const Tensor<T> tiled = xt::tile(x, {1, 2, 1, 3});
  ASSERT_EQ(tiled.shape(), (Shape{kN, 2 * kC, kH, 3 * kW}));
  EXPECT_EQ(tiled(1, kC + 1, 2, 2 * kW + 3), x(1, 1, 2, 3));
  const Tensor<T> repeated = xt::repeat(x, 2, 2);
  ASSERT_EQ(repeated.shape(), (Shape{kN, kC, 2 * kH, kW}));
  EXPECT_EQ(repeated(1, 1, 5, 3), x(1, 1, 2, 3));
  const Tensor<T> rolled = xt::roll(x, 1, 3);
  EXPECT_EQ(rolled(0, 0, 0, 0), x(0, 0, 0, kW - 1));
  const Tensor<T> flipped = xt::flip(x, 3);
  EXPECT_EQ(flipped(1, 2, 3, 0), x(1, 2, 3, kW - 1));
}

TYPED_TEST(Xtensor, StacksConcatenatesAndTransposes) {
  using T = TypeParam;
  const auto& x = this->x_;
  const Tensor<T> twice = T{2} * x;
  const Tensor<T> stacked = xt::stack(xt::xtuple(x, twice), 0);
  ASSERT_EQ(stacked.shape(), (Shape{2, kN, kC, kH, kW}));
  EXPECT_EQ(stacked(1, 1, 2, 3, 4), twice(1, 2, 3, 4));
  const Tensor<T> joined = xt::concatenate(xt::xtuple(x, twice), 1);
  ASSERT_EQ(joined.shape(), (Shape{kN, 2 * kC, kH, kW}));
  EXPECT_EQ(joined(1, kC + 2, 3, 4), twice(1, 2, 3, 4));
  const Tensor<T> last = xt::transpose(x, {0, 2, 3, 1});
  ASSERT_EQ(last.shape(), (Shape{kN, kH, kW, kC}));
  EXPECT_EQ(last(1, 3, 4, 2), x(1, 2, 3, 4));
  const auto parts = xt::split(x, 2, 0);
  EXPECT_EQ(Tensor<T>(parts[1])(0, 2, 3, 4), x(1, 2, 3, 4));
}

TYPED_TEST(Xtensor, Views) {
  using T = TypeParam;
  Tensor<T> x = this->x_;
  const Tensor<T> channel = xt::view(x, xt::all(), 1);
  ASSERT_EQ(channel.shape(), (Shape{kN, kH, kW}));
  EXPECT_EQ(channel(1, 2, 3), x(1, 1, 2, 3));
  const Tensor<T> strided = xt::view(x, xt::all(), xt::all(), xt::range(0, kH, 2), xt::range(1, kW, 2));
  ASSERT_EQ(strided.shape(), (Shape{kN, kC, 2, 2}));
  EXPECT_EQ(strided(1, 2, 1, 1), x(1, 2, 2, 3));
  const Tensor<T> more = xt::view(x, xt::newaxis(), 0);
  ASSERT_EQ(more.shape(), (Shape{1, kC, kH, kW}));
  // A reduction of a view, and an assignment to one.
  const Tensor<T> sums = xt::sum(xt::view(x, xt::all(), xt::range(0, 2)), {0, 2, 3});
  ASSERT_EQ(sums.shape(), (Shape{2}));
  EXPECT_NEAR(static_cast<double>(sums(1)), this->sum(this->channels()[1]), 1e-4);
  xt::view(x, xt::all(), 1) = xt::mean(channel, {0});
  EXPECT_NEAR(static_cast<double>(x(1, 1, 2, 3)),
              static_cast<double>(channel(0, 2, 3) + channel(1, 2, 3)) / 2, 1e-5);
  const Tensor<T> positive = xt::where(x > T{0}, x, xt::zeros_like(x)), clipped = xt::clip(x, T{0}, T{1});
  EXPECT_GE(xt::amin(positive)(), T{0});
  EXPECT_LE(xt::amax(clipped)(), T{1});
}

}  // namespace
}  // namespace strata
