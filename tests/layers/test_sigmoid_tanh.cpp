#include <limits>

#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

template <class T>
class SquashingOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(SquashingOf, Types);

// Within four units in the last place of the value, all over the line.
template <class T>
void expect_ulps(const Tensor<T>& got, const Tensor<T>& x, long double (*function)(long double)) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double want = function(static_cast<long double>(x(i)));
    const long double error = std::abs(static_cast<long double>(got(i)) - want);
    const long double least = std::numeric_limits<T>::min();
    ASSERT_LE(error, 4 * std::numeric_limits<T>::epsilon() * std::abs(want) + least) << "at " << x(i);
  }
}

long double sigmoid(long double x) {
  return 1 / (1 + std::exp(-x));
}
long double hyperbolic_tangent(long double x) {
  return std::tanh(x);
}

TYPED_TEST(SquashingOf, EqualsTheFormula) {
  using T = TypeParam;
  testing::for_each_instruction_set([&] {
    auto x = empty<T>({100'003});
    Random random(4);
    for (T& value : x)
      value = static_cast<T>(std::ldexp(random.normal(), static_cast<int>(random.below(24)) - 16));
    expect_ulps(Sigmoid<T>().infer(x), x, sigmoid);
    expect_ulps(Tanh<T>().infer(x), x, hyperbolic_tangent);
  });
}

TYPED_TEST(SquashingOf, SaturatesAndPropagatesNaN) {
  using T = TypeParam;
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  testing::for_each_instruction_set([&] {
    const Tensor<T> x{-inf, T(-1e4), T(0), T(1e4), inf, nan};
    const Tensor<T> s = Sigmoid<T>().infer(x), t = Tanh<T>().infer(x);
    EXPECT_NEAR(s(0), 0, 1e-37);
    EXPECT_NEAR(s(1), 0, 1e-37);
    EXPECT_EQ(s(2), T(0.5));
    EXPECT_EQ(s(3), 1);
    EXPECT_EQ(s(4), 1);
    EXPECT_TRUE(std::isnan(s(5)));
    EXPECT_EQ(t(0), -1);
    EXPECT_EQ(t(1), -1);
    EXPECT_EQ(t(2), 0);
    EXPECT_EQ(t(3), 1);
    EXPECT_EQ(t(4), 1);
    EXPECT_TRUE(std::isnan(t(5)));
  });
}

TYPED_TEST(SquashingOf, BackwardIsTheDerivative) {
  using T = TypeParam;
  const auto x = Random(1).normal<T>({7, 11}), dy = Random(2).normal<T>({7, 11});
  Sigmoid<T> sigmoid_layer;
  const Tensor<T> s = sigmoid_layer.forward(x);
  EXPECT_TRUE(testing::near(sigmoid_layer.backward(dy), Tensor<T>(dy * s * (T{1} - s)), 1e-6));
  Tanh<T> tanh_layer;
  const Tensor<T> t = tanh_layer.forward(x);
  EXPECT_TRUE(testing::near(tanh_layer.backward(dy), Tensor<T>(dy * (T{1} - t * t)), 1e-6));
}

TYPED_TEST(SquashingOf, KeepsTheContract) {
  const auto x = Random(1).normal<TypeParam>({3, 5, 50, 101});
  testing::expect_contract<TypeParam>(Sigmoid<TypeParam>(), x);
  testing::expect_contract<TypeParam>(Tanh<TypeParam>(), x);
}

TEST(SigmoidAndTanh, GradientsAreRight) {
  testing::expect_right_gradients(Sigmoid<double>(), Random(3).normal<double>({3, 2, 4, 5}));
  testing::expect_right_gradients(Tanh<double>(), Random(4).normal<double>({6, 5}));
}

}  // namespace
}  // namespace strata
