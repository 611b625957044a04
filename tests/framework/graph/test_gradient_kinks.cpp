// The gradient check tells a kink, where no derivative exists, from a wrong gradient.
#include <algorithm>
#include <cmath>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/graph/gradient_check.hpp"
#include "strata/framework/graph/sequential.hpp"
#include "strata/layers/convolution/conv_2d.hpp"
#include "strata/layers/pooling/max_pool_2d.hpp"
#include "strata/layers/relu.hpp"

namespace strata {
namespace {

using testing::HasSubstr;

// What backward does wrong to a gradient: it scales it, or adds to one element a part of the largest.
struct Fault {
  bool in_weight = false;
  double factor = 1;
  double part = 0;
  std::size_t element = 0;
};

// y = max(0, x W^T)
class Perceptron final : public Layer<double> {
 public:
  Perceptron(Tensor<double> weight, Fault fault) : weight_("weight", std::move(weight)), fault_(fault) {}
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Perceptron>(*this); }
  std::string type() const override { return "Perceptron"; }
  Shape output_shape(const Shape& x) const override { return {x[0], weight_.value.shape()[0]}; }

 protected:
  Tensor<double> do_forward(Tensor<double> x, Record& record) override {
    Tensor<double> y = do_infer(x);
    record.keep(std::pair(std::move(x), y));
    return y;
  }
  Tensor<double> do_infer(Tensor<double> x) const override {
    auto y = full<double>(output_shape(x.shape()), 0);
    for_each([&](std::size_t n, std::size_t o, std::size_t i) { y(n, o) += x(n, i) * weight_.value(o, i); },
             x.shape());
    for (double& value : y) value = std::max(0.0, value);
    return y;
  }
  Tensor<double> do_backward(Tensor<double> dy, Record& record) override {
    const auto [x, y] = record.take<std::pair<Tensor<double>, Tensor<double>>>();
    auto dx = full<double>(x.shape(), 0);
    weight_.gradient.fill(0);
    for_each(
        [&, &x = x, &y = y](std::size_t n, std::size_t o, std::size_t i) {
          if (!(y(n, o) > 0)) return;
          dx(n, i) += dy(n, o) * weight_.value(o, i);
          weight_.gradient(o, i) += dy(n, o) * x(n, i);
        },
        x.shape());
    Tensor<double>& wrong = fault_.in_weight ? weight_.gradient : dx;
    double largest = 0;
    for (double& value : wrong) largest = std::max(largest, std::abs(value *= fault_.factor));
    wrong.data()[fault_.element] += fault_.part * largest;
    return dx;
  }
  std::vector<Parameter<double>*> own_parameters() override { return {&weight_}; }

 private:
  template <class Body>
  void for_each(const Body& body, const Shape& x) const {
    for (std::size_t n = 0; n < x[0]; ++n)
      for (std::size_t o = 0; o < weight_.value.shape()[0]; ++o)
        for (std::size_t i = 0; i < x[1]; ++i) body(n, o, i);
  }

  Parameter<double> weight_;
  Fault fault_;
};

// The first sample is zero: all that is computed of it is exactly at its kink.
GradientReport check_perceptron(std::uint64_t seed, const Fault& fault = {}) {
  Random random(combine_seeds(seed, "values"));
  auto x = random.normal<double>({4, 3});
  for (std::size_t i = 0; i < 3; ++i) x(0, i) = 0;
  return check_gradients(Perceptron(random.normal<double>({6, 3}), fault), x,
                         {.evaluation = false, .seed = seed});
}

TEST(GradientKinks, AWrongGradientFailsAndARightOnePassesAtEachOfAThousandSeeds) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const GradientReport right = check_perceptron(seed);
    ASSERT_TRUE(right.passed()) << "seed " << seed << '\n' << right;
    ASSERT_GE(right.rows[0].kinks, 3) << "seed " << seed << '\n' << right;

    Random random(combine_seeds(seed, "fault"));
    Fault fault{.in_weight = random.below(2) == 0};
    const double amount = random.below(2) == 0 ? 1e-4 : -1e-4;
    if (random.below(2) == 0) {
      fault.factor += amount;
    } else {
      fault.part = amount;
      fault.element = static_cast<std::size_t>(random.below(12));
    }
    const GradientReport report = check_perceptron(seed, fault);
    ASSERT_FALSE(report.rows[fault.in_weight ? 1 : 0].passed) << "seed " << seed << '\n' << report;
  }
}

TEST(GradientKinks, ThreeConvolutionsWithReLUAndMaxPoolingPassAtEachOf25Seeds) {
  for (std::uint64_t seed = 0; seed < 25; ++seed) {
    Sequential<double> net{Conv2D<double>{3, 8, 3, {.padding = 1}}, ReLU<double>{}, MaxPool2D<double>{2},
                           Conv2D<double>{8, 8, 3, {.padding = 1}}, ReLU<double>{}, MaxPool2D<double>{2},
                           Conv2D<double>{8, 8, 3, {.padding = 1}}, ReLU<double>{}, MaxPool2D<double>{2}};
    net.initialize(seed);
    const auto x = Random(combine_seeds(seed, "x")).normal<double>({8, 3, 16, 16});
    const GradientReport report =
        check_gradients(net, x, {.evaluation = false, .directions = 2, .seed = seed});
    EXPECT_TRUE(report.passed()) << "seed " << seed << '\n' << report;
  }
}

TEST(GradientKinks, AreCountedAndNamed) {
  const GradientReport report = check_gradients(ReLU<double>{}, Tensor<double>{{0.0, 1.0, 1e-5, -1.0}});
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_EQ(report.rows[0].kinks, 2);
  EXPECT_LT(report.rows[0].error, 1e-9);
  EXPECT_THAT(report.to_string(), HasSubstr("kink\n"));
  EXPECT_EQ(check_gradients(ReLU<double>{}, Tensor<double>{{1.0, -1.0}}).rows[0].kinks, 0);
}

TEST(GradientKinks, OfMaxPoolingAreTies) {
  const GradientReport report =
      check_gradients(MaxPool2D<double>{2}, full<double>({1, 2, 4, 4}, 0.5), {.evaluation = false});
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_EQ(report.rows[0].kinks, 32);
}

// All elements of the input are at kinks, so that nothing else could tell.
TEST(GradientKinks, DoNotHideAFault) {
  const auto weight = Random(1).normal<double>({6, 3});
  for (const double factor : {1.0, 1 + 1e-4, 1 - 1e-4, 2.0, -1.0, 0.0}) {
    const Perceptron layer(weight, {.factor = factor});
    const GradientReport report = check_gradients(layer, full<double>({2, 3}, 0), {.evaluation = false});
    EXPECT_EQ(report.rows[0].passed, factor == 1) << factor << '\n' << report;
    EXPECT_EQ(report.rows[0].kinks, factor == 1 ? 6 : 0);
  }
}

// A step from 0 to 1, with a gradient of 0.
class Step final : public Layer<double> {
 public:
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Step>(*this); }
  std::string type() const override { return "Step"; }

 protected:
  Tensor<double> do_forward(Tensor<double> x, Record&) override { return do_infer(std::move(x)); }
  Tensor<double> do_infer(Tensor<double> x) const override {
    for (double& value : x) value = value > 0 ? 1 : 0;
    return x;
  }
  Tensor<double> do_backward(Tensor<double> dy, Record&) override {
    dy.fill(0);
    return dy;
  }
};

TEST(GradientKinks, AJumpIsNone) {
  EXPECT_TRUE(check_gradients(Step{}, Tensor<double>{{1.0, -1.0}}).passed());
  EXPECT_FALSE(check_gradients(Step{}, Tensor<double>{{0.0, -1.0}}).passed());
}

}  // namespace
}  // namespace strata
