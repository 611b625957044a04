#include <limits>

#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

template <class T>
class RectifierOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(RectifierOf, Types);

// Every length up to some vectors' and a long one, with zeros of both signs and infinities among the values.
TYPED_TEST(RectifierOf, EqualsTheFormula) {
  using T = TypeParam;
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  testing::for_each_instruction_set([&] {
    for (const double slope : {0.0, 0.01, -0.5, 2.0})
      for (std::size_t size = 0; size < 100; ++size) {
        auto x = Random(size).normal<T>({size == 99 ? 200'003 : size});
        const T special[] = {T{0}, -T{0}, inf, -inf, nan};
        for (std::size_t i = 3; i < x.size(); i += 7) x(i) = special[i % 5];
        const auto dy = Random(size + 1).normal<T>(x.shape());
        auto y = x, dx = dy;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const T s = static_cast<T>(slope);
          if (!(x(i) <= 0)) continue;  // and NaN passes both ways
          y(i) = slope == 0 ? T{0} : s * x(i);
          dx(i) = slope == 0 ? T{0} : s * dy(i);
        }
        LeakyReLU<T> layer(slope);
        EXPECT_TRUE(testing::same_bits(layer.infer(x), y)) << slope << " " << size;
        EXPECT_TRUE(testing::same_bits(layer.forward(x), y)) << slope << " " << size;
        EXPECT_TRUE(testing::same_bits(layer.backward(dy), dx)) << slope << " " << size;
        if (slope != 0) continue;
        ReLU<T> relu;
        EXPECT_TRUE(testing::same_bits(relu.infer(x), y)) << size;
        EXPECT_TRUE(testing::same_bits(relu.forward(x), y)) << size;
        EXPECT_TRUE(testing::same_bits(relu.backward(dy), dx)) << size;
      }
  });
}

TYPED_TEST(RectifierOf, KeepsTheContract) {
  const auto x = Random(1).normal<TypeParam>({3, 5, 150, 101});
  testing::expect_contract<TypeParam>(ReLU<TypeParam>(), x);
  testing::expect_contract<TypeParam>(LeakyReLU<TypeParam>(0.2), x);
}

TEST(ReLU, WorksInPlace) {
  ReLU<float> layer;
  Tensor<float> x{-1, 2};
  const float* const memory = x.data();
  auto y = layer.forward(std::move(x));
  EXPECT_EQ(y.data(), memory);
  EXPECT_EQ(layer.backward(std::move(y)).data(), memory);
}

TEST(ReLU, GradientIsRight) {
  testing::expect_right_gradients(ReLU<double>(), testing::distinct_values<double>({2, 3, 5, 7}, 1));
  testing::expect_right_gradients(LeakyReLU<double>(0.3), testing::distinct_values<double>({4, 9}, 2));
}

TEST(LeakyReLU, DescribesItselfAndRefusesMisuse) {
  EXPECT_EQ(LeakyReLU<float>().options(), "slope 0.01");
  EXPECT_EQ(ReLU<float>().options(), "");
  EXPECT_THAT([] { LeakyReLU<float>(std::numeric_limits<double>::quiet_NaN()); },
              ThrowsMessage<ArgumentError>(HasSubstr("LeakyReLU: expected a finite slope, got nan")));
}

}  // namespace
}  // namespace strata
