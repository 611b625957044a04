#include "strata/layers/reference/upsample.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

template <class T>
class Upsample2DOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Upsample2DOf, Types);

TYPED_TEST(Upsample2DOf, EqualsTheFormula) {
  using T = TypeParam;
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    const Size2D scale = testing::pick_size(random, 1, 5);
    Upsample2D<T> layer(scale);
    const Shape shape = testing::shape4(testing::pick(random, 0, 2), testing::pick(random, 1, 3),
                                        testing::pick(random, 1, 7), testing::pick(random, 1, 30));
    SCOPED_TRACE(layer.options() + " of " + to_string(shape));
    const auto x = random.normal<T>(shape);
    auto dy = random.normal<T>(layer.output_shape(shape));
    for (T& value : dy) value = std::round(T{8} * value);  // so that sums are exact
    auto want_y = empty<T>(dy.shape()), want_dx = empty<T>(shape);
    const auto planes = static_cast<Index>(shape[0] * shape[1]);
    const Size2D size(static_cast<Index>(shape[2]), static_cast<Index>(shape[3]));
    reference::upsample(planes, size, scale, x.data(), want_y.data());
    reference::upsample_backward(planes, size, scale, dy.data(), want_dx.data());
    testing::for_each_instruction_set([&] {
      EXPECT_TRUE(testing::same_bits(layer.forward(x), want_y));
      EXPECT_EQ(layer.backward(dy), want_dx);
    });
  }
}

TYPED_TEST(Upsample2DOf, KeepsTheContract) {
  testing::expect_contract<TypeParam>(Upsample2D<TypeParam>({2, 3}),
                                      Random(1).normal<TypeParam>({3, 4, 50, 41}));
}

TEST(Upsample2D, GradientIsRight) {
  testing::expect_right_gradients(Upsample2D<double>({2, 3}), Random(1).normal<double>({2, 2, 3, 2}));
}

TEST(Upsample2D, RefusesMisuse) {
  EXPECT_THAT(
      [] {
        Upsample2D<float>({0, 2});
      },
      ThrowsMessage<ArgumentError>(HasSubstr("Upsample2D: expected a scale of at least 1x1, got 0x2")));
  EXPECT_THAT(
      [] {
        Upsample2D<float>(2).output_shape({2, 3, 4});
      },
      ThrowsMessage<ShapeError>(HasSubstr("Upsample2D: expected (N, C, H, W), got (2, 3, 4)")));
}

}  // namespace
}  // namespace strata
