#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

template <class T>
class AvgPool2DOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(AvgPool2DOf, Types);

TYPED_TEST(AvgPool2DOf, EqualsTheFormula) {
  using T = TypeParam;
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    const testing::PoolCase c = testing::random_pool_case(random, 12);
    const bool count_include_pad = round % 2;
    AvgPool2D<T> layer(c.window,
                       {.stride = c.stride, .padding = c.padding, .count_include_pad = count_include_pad});
    const auto x = random.normal<T>(c.shape);
    SCOPED_TRACE(layer.options() + " of " + to_string(c.shape));
    const Tensor<T> y = layer.infer(x);
    for (const auto& [axis, window, stride, padding] :
         {std::tuple{2, c.window.h, c.stride.h, c.padding.h}, {3, c.window.w, c.stride.w, c.padding.w}})
      ASSERT_EQ(static_cast<Index>(y.shape()[axis]),
                (static_cast<Index>(c.shape[axis]) + 2 * padding - window) / stride + 1);
    const auto dy = random.normal<T>(y.shape());
    Tensor<double> want_y, want_dx;
    testing::reference_avg_pool(c, count_include_pad, testing::widen(x), testing::widen(dy), want_y, want_dx);
    const double tolerance = 8 * static_cast<double>(std::numeric_limits<T>::epsilon());
    testing::for_each_instruction_set([&] {
      EXPECT_TRUE(testing::near(layer.forward(x), want_y, tolerance));
      EXPECT_TRUE(testing::near(layer.backward(dy), want_dx, tolerance));
    });
  }
}

TYPED_TEST(AvgPool2DOf, GlobalIsTheMean) {
  using T = TypeParam;
  testing::for_each_instruction_set([] {
    for (std::size_t size = 1; size <= 300; ++size) {
      const auto x = Random(size).normal<T>({2, 2, 1, size});
      GlobalAvgPool2D<T> layer;
      const Tensor<T> y = layer.forward(x), dx = layer.backward(full<T>({2, 2, 1, 1}, T{3}));
      for (std::size_t plane = 0; plane < 4; ++plane) {
        double sum = 0;
        for (std::size_t i = 0; i < size; ++i) {
          sum += static_cast<double>(x.data()[plane * size + i]);
          EXPECT_EQ(dx.data()[plane * size + i], T{3} / static_cast<T>(size));
        }
        EXPECT_NEAR(y.data()[plane], sum / static_cast<double>(size), std::numeric_limits<T>::epsilon());
      }
    }
  });
}

TYPED_TEST(AvgPool2DOf, KeepsTheContract) {
  const auto x = Random(1).normal<TypeParam>({8, 8, 41, 40});
  testing::expect_contract<TypeParam>(AvgPool2D<TypeParam>(2), x);
  testing::expect_contract<TypeParam>(AvgPool2D<TypeParam>(3, {.stride = 2, .padding = 1}), x);
  testing::expect_contract<TypeParam>(GlobalAvgPool2D<TypeParam>(), x);
}

TEST(AvgPool2D, GradientIsRight) {
  const auto x = Random(5).normal<double>({2, 2, 7, 6});
  for (const bool count_include_pad : {true, false})
    testing::expect_right_gradients(
        AvgPool2D<double>({3, 2}, {.stride = 2, .padding = 1, .count_include_pad = count_include_pad}), x);
  testing::expect_right_gradients(AvgPool2D<double>(2, {.stride = 3}), x);
  testing::expect_right_gradients(AvgPool2D<double>({1, 3}, {}), Random(6).normal<double>({1, 1, 1, 9}));
  testing::expect_right_gradients(GlobalAvgPool2D<double>(), x);
}

TEST(AvgPool2D, RefusesMisuse) {
  EXPECT_THAT(
      [] {
        AvgPool2D<float>({2, 0});
      },
      ThrowsMessage<ArgumentError>(HasSubstr("AvgPool2D: expected a window of at least 1x1, got 2x0")));
  EXPECT_THAT(
      [] { AvgPool2D<float>(2, {.stride = -2}); },
      ThrowsMessage<ArgumentError>(HasSubstr("AvgPool2D: expected a stride of at least 1x1, got -2x-2")));
  EXPECT_THAT(
      [] { AvgPool2D<float>(2, {.padding = 2}); },
      ThrowsMessage<ArgumentError>(HasSubstr("AvgPool2D: expected a padding from 0 to half the window")));
  EXPECT_THAT(
      [] {
        AvgPool2D<float>(3).forward(full<float>({1, 1, 4, 2}, 0));
      },
      ThrowsMessage<ShapeError>(
          HasSubstr("AvgPool2D: expected (N, C, H, W) with H >= 3 and W >= 3, got (1, 1, 4, 2)")));
  EXPECT_EQ(AvgPool2D<float>(2, {.count_include_pad = false}).options(),
            "window 2x2, stride 2x2, padding not counted");
}

TEST(GlobalAvgPool2D, IsAccurateInFloat) {
  for (const std::size_t width : {1, 7, 8, 1000}) {
    const auto x = Random(width).normal<float>({2, 3, 101, width}, 1e4, 1);
    const auto y = GlobalAvgPool2D<float>().infer(x);
    ASSERT_EQ(y.shape(), (Shape{2, 3, 1, 1}));
    for (std::size_t plane = 0; plane < 6; ++plane) {
      long double sum = 0;
      for (std::size_t i = 0; i < 101 * width; ++i)
        sum += static_cast<long double>(x.data()[plane * 101 * width + i]);
      EXPECT_EQ(y.data()[plane], static_cast<float>(sum / static_cast<long double>(101 * width)));
    }
  }
}

TEST(GlobalAvgPool2D, RefusesMisuse) {
  EXPECT_THAT(
      [] {
        GlobalAvgPool2D<float>().output_shape({2, 3});
      },
      ThrowsMessage<ShapeError>(HasSubstr("GlobalAvgPool2D: expected (N, C, H, W)")));
  EXPECT_THROW(GlobalAvgPool2D<float>().output_shape({2, 3, 0, 4}), ShapeError);
}

}  // namespace
}  // namespace strata
