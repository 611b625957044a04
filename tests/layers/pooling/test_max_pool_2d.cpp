#include <algorithm>
#include <limits>

#include "strata/layers/kernels/pooling/max_pool_parts.hpp"
#include "strata/layers/pooling/geometry.hpp"
#include "tests/layers/kernels/image_layouts.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<testing::PoolCase> random_cases() {
  std::vector<testing::PoolCase> cases{{{2, 3, 32, 32}, 2, 2, 0},        {{1, 2, 33, 35}, 2, 2, 0},
                                       {{2, 1, 17, 40}, 2, 2, 1},        {{2, 3, 31, 32}, 3, 2, 1},
                                       {{2, 3, 40, 37}, 3, 2, 0},        {{1, 1, 1, 50}, {1, 3}, 2, {0, 1}},
                                       {{1, 1, 20, 20}, {17, 16}, 1, 8}, {{3, 2, 1, 1}, 3, 2, 1},
                                       {{0, 3, 8, 8}, 2, 2, 0},          {{1, 1, 1, 1}, 2, 2, 1}};
  Random random(7);
  while (cases.size() < 300) cases.push_back(testing::random_pool_case(random, 19));
  // Windows of 2x2 side by side, the most usual ones, on narrow planes, and what differs little from them.
  for (Index w = 2; w <= 40; ++w)
    for (const Index h : {2, 3, 4, 8, 9}) {
      const auto shape = [&](Size2D least) {
        return testing::shape4(testing::pick(random, 1, 3), testing::pick(random, 1, 4), std::max(h, least.h),
                               std::max(w, least.w));
      };
      for (const Index padding : {0, 1}) cases.push_back({shape(1), 2, 2, padding});
      const Index other = testing::pick(random, 1, 3);
      for (const Size2D window : {Size2D(other, 2), Size2D(2, other)})
        cases.push_back({shape(window), window, 2, {(window.h - 1) / 2, (window.w - 1) / 2}});
      cases.push_back({shape(1), 2, {other, 2}, {testing::pick(random, 0, 1), 0}});
      cases.push_back({shape(1), 2, {2, other}, {0, testing::pick(random, 0, 1)}});
    }
  return cases;
}

// Small integers, so that there are many ties and sums of gradients are exact.
template <class T>
void expect_formula(const testing::PoolCase& c, const Tensor<T>& x) {
  MaxPool2D<T> layer(c.window, {.stride = c.stride, .padding = c.padding});
  SCOPED_TRACE(layer.options() + " of " + to_string(c.shape));
  Random random(12);
  auto dy = empty<T>(layer.output_shape(c.shape));
  for (T& value : dy) value = static_cast<T>(random.below(100));
  Tensor<T> y, dx;
  testing::reference_max_pool(c, x, dy, y, dx);
  EXPECT_TRUE(testing::same_bits(layer.forward(x), y));
  EXPECT_TRUE(testing::same_bits(layer.infer(x), y));
  EXPECT_TRUE(testing::same_bits(layer.backward(dy), dx));
}

template <class T>
class MaxPool2DOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(MaxPool2DOf, Types);

TYPED_TEST(MaxPool2DOf, EqualsTheFormula) {
  using T = TypeParam;
  testing::for_each_instruction_set([] {
    for (const testing::PoolCase& c : random_cases()) {
      Random random(11);
      auto x = empty<T>(c.shape);
      for (T& value : x) value = static_cast<T>(random.below(7)) - T{3};
      expect_formula(c, x);
    }
  });
}

// Images of pixels, some at a time.
TEST(MaxPool2D, EqualsTheFormulaForPixels) {
  using T = float;
  testing::for_each_instruction_set([] {
    for (testing::PoolCase c : random_cases()) {
      Random random(13);
      c.shape[1] = static_cast<std::size_t>(16 * testing::pick(random, 1, 3));
      auto x = empty<T>(c.shape);
      for (T& value : x) value = static_cast<T>(random.below(7)) - T{3};
      const Pooling pooling("MaxPool2D", c.window, c.stride, c.padding);
      auto dy = empty<T>(pooling.output_shape(c.shape));
      for (T& value : dy) value = static_cast<T>(random.below(100));
      Tensor<T> expected_y, expected_dx;
      testing::reference_max_pool(c, x, dy, expected_y, expected_dx);

      constexpr auto pixels = ImageLayout::pixels;
      x = testing::in_layout(x, pixels);
      dy = testing::in_layout(dy, pixels);
      auto y = full<T>(dy.shape(), T(NAN)), dx = full<T>(x.shape(), T(NAN));
      MaxPoolParts<T> parts(kernel_geometry(pooling, c.shape, pooling.output_shape(c.shape)), c.shape);
      const auto images = static_cast<Index>(c.shape[0]), channels = static_cast<Index>(c.shape[1]);
      const Index in = channels * parts.plane_in(), out = channels * parts.plane_out();
      for (Index n = 0, count; n < images; n += count) {
        count = testing::pick(random, 1, images - n);
        parts.forward_pixels(n, count, x.data() + n * in, y.data() + n * out);
        parts.backward_pixels(n, count, dy.data() + n * out, dx.data() + n * in);
      }
      EXPECT_TRUE(testing::same_bits(testing::as_planes(y, pixels), expected_y));
      EXPECT_TRUE(testing::same_bits(testing::as_planes(dx, pixels), expected_dx));
      if (::testing::Test::HasFailure()) return;
    }
  });
}

// A place is a byte in a window of up to 256. Sorted values have their maxima at the last place.
TYPED_TEST(MaxPool2DOf, EqualsTheFormulaWithLargeWindows) {
  using T = TypeParam;
  testing::for_each_instruction_set([] {
    for (const Size2D window : {Size2D(15, 17), Size2D(16), Size2D(1, 256), Size2D(256, 1), Size2D(1, 257),
                                Size2D(257, 1), Size2D(17, 16), Size2D(17)})
      for (const Index stride : {1, 2, 3}) {
        const testing::PoolCase c{
            testing::shape4(1, 2, window.h + 7, window.w + 9), window, stride, {window.h / 8, window.w / 8}};
        auto x = testing::distinct_values<T>(c.shape, 13);
        expect_formula(c, x);
        std::sort(x.begin(), x.end());
        expect_formula(c, x);
      }
  });
}

TYPED_TEST(MaxPool2DOf, PropagatesNaNAndInfinities) {
  using T = TypeParam;
  const T nan = std::numeric_limits<T>::quiet_NaN(), inf = std::numeric_limits<T>::infinity();
  testing::for_each_instruction_set([&] {
    for (const Index size : {2, 3, 4})
      for (std::size_t at = 0; at < 64; ++at) {
        const MaxPool2D<T> layer(size, {.stride = 2});
        auto x = testing::distinct_values<T>({1, 1, 8, 8}, 5);
        const Tensor<T> clean = layer.infer(x);
        x.data()[at] = nan;
        const Tensor<T> y = layer.infer(x);
        for (Index i = 0; i < static_cast<Index>(y.shape()[2]); ++i)
          for (Index j = 0; j < static_cast<Index>(y.shape()[3]); ++j) {
            const Index row = static_cast<Index>(at) / 8 - 2 * i, column = static_cast<Index>(at) % 8 - 2 * j;
            if (row >= 0 && row < size && column >= 0 && column < size)
              EXPECT_TRUE(std::isnan(y(0, 0, i, j))) << at;
            else
              EXPECT_EQ(y(0, 0, i, j), clean(0, 0, i, j)) << at;
          }
      }
    MaxPool2D<T> layer(3, {.stride = 2, .padding = 1});
    EXPECT_EQ(layer.forward(full<T>({1, 1, 5, 5}, -inf)), full<T>({1, 1, 3, 3}, -inf));
    // Equal values, so the first that is inside: padding is no value.
    auto expected = full<T>({1, 1, 5, 5}, T{0});
    for (const std::size_t i : {0, 1, 3})
      for (const std::size_t j : {0, 1, 3}) expected(0, 0, i, j) = 1;
    EXPECT_EQ(layer.backward(full<T>({1, 1, 3, 3}, T{1})), expected);
  });
}

TYPED_TEST(MaxPool2DOf, KeepsTheContract) {
  using T = TypeParam;
  const auto x = Random(2).normal<T>({8, 8, 64, 64});
  testing::expect_contract<T>(MaxPool2D<T>(2), x);
  testing::expect_contract<T>(MaxPool2D<T>(3, {.stride = 2, .padding = 1}), x);
  testing::expect_contract<T>(MaxPool2D<T>(17, {.stride = 9}), x);
}

TEST(MaxPool2D, GradientIsRight) {
  const auto x = testing::distinct_values<double>({2, 2, 7, 6}, 5);
  testing::expect_right_gradients(MaxPool2D<double>(2), x);
  testing::expect_right_gradients(MaxPool2D<double>({3, 2}, {.stride = 1, .padding = 1}), x);
  testing::expect_right_gradients(MaxPool2D<double>(2, {.stride = 3}), x);
  testing::expect_right_gradients(MaxPool2D<double>({1, 3}),
                                  testing::distinct_values<double>({1, 1, 1, 9}, 6));
}

TEST(MaxPool2D, GivesTheGradientToTheFirstOfEquals) {
  MaxPool2D<double> layer(2);
  layer.forward(full<double>({1, 1, 2, 2}, 3.0));
  const auto dx = layer.backward(full<double>({1, 1, 1, 1}, 5.0));
  EXPECT_EQ(dx, (Tensor<double>{{{{5.0, 0.0}, {0.0, 0.0}}}}));
}

TEST(MaxPool2D, StrideIsTheWindowUnlessGiven) {
  EXPECT_EQ(MaxPool2D<float>({2, 3}).output_shape({1, 1, 8, 9}), (Shape{1, 1, 4, 3}));
  EXPECT_EQ(MaxPool2D<float>({2, 3}, {.stride = 1}).output_shape({1, 1, 8, 9}), (Shape{1, 1, 7, 7}));
  EXPECT_EQ(MaxPool2D<float>(3, {.stride = 2, .padding = 1}).options(),
            "window 3x3, stride 2x2, padding 1x1");
}

TEST(MaxPool2D, RefusesMisuse) {
  EXPECT_THAT(
      [] { MaxPool2D<float>(0); },
      ThrowsMessage<ArgumentError>(HasSubstr("MaxPool2D: expected a window of at least 1x1, got 0x0")));
  EXPECT_THAT(
      [] { MaxPool2D<float>(2, {.stride = Size2D(1, 0)}); },
      ThrowsMessage<ArgumentError>(HasSubstr("MaxPool2D: expected a stride of at least 1x1, got 1x0")));
  EXPECT_THAT([] { MaxPool2D<float>(3, {.padding = 2}); },
              ThrowsMessage<ArgumentError>(HasSubstr("half the window of 3x3, got 2x2")));
  EXPECT_THAT([] { MaxPool2D<float>(3, {.padding = -1}); },
              ThrowsMessage<ArgumentError>(HasSubstr("got -1x-1")));
  MaxPool2D<float> layer(4, {.padding = 1});
  EXPECT_THAT(
      [&] {
        layer.forward(full<float>({1, 1, 1, 9}, 0));
      },
      ThrowsMessage<ShapeError>(
          HasSubstr("MaxPool2D: expected (N, C, H, W) with H >= 2 and W >= 2, got (1, 1, 1, 9)")));
  EXPECT_THAT(
      [&] {
        layer.infer(full<float>({1, 8, 9}, 0));
      },
      ThrowsMessage<ShapeError>(HasSubstr("(1, 8, 9)")));
  EXPECT_THROW(MaxPool2D<float>(2, {.padding = 1}).output_shape({1, 1, 0, 4}), ShapeError);
  EXPECT_THROW(MaxPool2D<float>(2, {.padding = 1}).output_shape({1, 1, 4, 0}), ShapeError);
  EXPECT_EQ(MaxPool2D<float>(2, {.padding = 1}).output_shape({1, 1, 1, 1}), (Shape{1, 1, 1, 1}));
}

}  // namespace
}  // namespace strata
