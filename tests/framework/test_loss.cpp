#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/loss.hpp"
#include "strata/strata.hpp"

namespace strata {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

const Labels kLabels{2, 0, 3, 1, 1};

Tensor<double> some_scores() {
  return Random(11).normal<double>({5, 4}, 0, 2);
}

TEST(SoftmaxCrossEntropy, IsTheMeanNegativeLogProbability) {
  const Tensor<double> x = some_scores();
  double expected = 0;
  for (std::size_t n = 0; n < 5; ++n) {
    double sum = 0;
    for (std::size_t c = 0; c < 4; ++c) sum += std::exp(x(n, c));
    expected -= std::log(std::exp(x(n, kLabels[n])) / sum) / 5;
  }
  const SoftmaxCrossEntropy<double> loss;
  EXPECT_NEAR(loss(x, kLabels).value, expected, 1e-14);
  EXPECT_NEAR(loss(full<double>({3, 10}, 0.7), {0, 5, 9}).value, std::log(10.0), 1e-14);
}

TEST(SoftmaxCrossEntropy, SmoothsLabels) {
  const double s = 0.3;
  const Tensor<double> x = some_scores();
  double expected = 0;
  for (std::size_t n = 0; n < 5; ++n) {
    double sum = 0;
    for (std::size_t c = 0; c < 4; ++c) sum += std::exp(x(n, c));
    for (std::size_t c = 0; c < 4; ++c) {
      const double target = (static_cast<std::int32_t>(c) == kLabels[n] ? 1 - s : 0) + s / 4;
      expected -= target * (x(n, c) - std::log(sum)) / 5;
    }
  }
  EXPECT_NEAR(SoftmaxCrossEntropy<double>({.label_smoothing = s})(x, kLabels).value, expected, 1e-14);
}

TEST(SoftmaxCrossEntropy, Gradient) {
  for (const double s : {0.0, 0.1, 1.0}) {
    const GradientReport report =
        check_gradients(SoftmaxCrossEntropy<double>({.label_smoothing = s}), some_scores(), kLabels);
    EXPECT_TRUE(report.passed()) << report;
  }
}

template <class T>
class SoftmaxStability : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(SoftmaxStability, Reals);

TYPED_TEST(SoftmaxStability, HoldsAtLogitsOfTenThousand) {
  using T = TypeParam;
  const Tensor<T> x{{T{1e4}, T{0}, T{-1e4}}, {T{-1e4}, T{-1e4}, T{-1e4}}, {T{1e4}, T{1e4} + T{1}, T{0}}};
  const LossResult<T> result = SoftmaxCrossEntropy<T>()(x, {2, 0, 1});
  EXPECT_NEAR(result.value, (2e4 + std::log(3.0) + std::log1p(std::exp(-1.0))) / 3, 1e-10);
  const Tensor<T> expected{{1.0 / 3, 0, -1.0 / 3},
                           {-2.0 / 9, 1.0 / 9, 1.0 / 9},
                           {1 / (1 + std::exp(1.0)) / 3, -1 / (1 + std::exp(1.0)) / 3, 0}};
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(result.gradient.data()[i], expected.data()[i], sizeof(T) == 4 ? 1e-7 : 1e-15);
}

TEST(SoftmaxCrossEntropy, AcceptsMaskedClasses) {
  const LossResult<double> result = SoftmaxCrossEntropy<double>()(Tensor<double>{{0, -INFINITY, 0}}, {0});
  EXPECT_NEAR(result.value, std::log(2.0), 1e-15);
  EXPECT_EQ(result.gradient(0, 1), 0);
}

TEST(SoftmaxCrossEntropy, ManyRowsGiveTheSameBitsWithAnyNumberOfThreads) {
  const auto x = Random(5).normal<float>({3000, 10}, 0, 3);
  const Labels labels(3000, 4);
  const int threads = num_threads();
  set_num_threads(1);
  const LossResult<float> one = SoftmaxCrossEntropy<float>()(x, labels);
  set_num_threads(4);
  const LossResult<float> four = SoftmaxCrossEntropy<float>()(x, labels);
  set_num_threads(threads);
  EXPECT_EQ(one.value, four.value);
  EXPECT_EQ(one.gradient, four.gradient);
}

TEST(MulticlassHinge, AddsTheMarginsThatAreViolated) {
  for (const double margin : {1.0, 0.25}) {
    const Tensor<double> x = some_scores();
    double expected = 0;
    for (std::size_t n = 0; n < 5; ++n)
      for (std::size_t c = 0; c < 4; ++c)
        if (static_cast<std::int32_t>(c) != kLabels[n])
          expected += std::max(0.0, x(n, c) - x(n, kLabels[n]) + margin) / 5;
    const MulticlassHinge<double> loss({.margin = margin});
    EXPECT_NEAR(loss(x, kLabels).value, expected, 1e-14);
    const GradientReport report = check_gradients(loss, x, kLabels);
    EXPECT_TRUE(report.passed()) << report;
  }
}

TEST(MulticlassHinge, OfEqualScoresIsClassesLessOne) {
  const LossResult<double> result = MulticlassHinge<double>()(full<double>({2, 10}, 3.0), {1, 7});
  EXPECT_DOUBLE_EQ(result.value, 9);
  EXPECT_DOUBLE_EQ(result.gradient(0, 1), -4.5);
  EXPECT_DOUBLE_EQ(result.gradient(0, 0), 0.5);
}

TEST(MulticlassHinge, PassesOnWhatIsNotANumber) {
  EXPECT_TRUE(std::isnan(MulticlassHinge<float>()(Tensor<float>{{NAN, 1.0f}}, {1}).value));
}

TEST(MeanSquaredError, IsTheMeanOverAllElements) {
  const Tensor<double> x{{1, 2}, {3, 4}}, target{{0, 2}, {5, 1}};
  const LossResult<double> result = MeanSquaredError<double>()(x, target);
  EXPECT_DOUBLE_EQ(result.value, (1 + 0 + 4 + 9) / 4.0);
  EXPECT_EQ(result.gradient, (Tensor<double>{{0.5, 0}, {-1, 1.5}}));
  const GradientReport report =
      check_gradients([&](const Tensor<double>& v) { return MeanSquaredError<double>()(v, target); }, x);
  EXPECT_TRUE(report.passed()) << report;
}

TEST(Losses, FloatsGiveTheDoublesToTheirAccuracy) {
  const Tensor<double> x = some_scores();
  const Tensor<float> single = xt::cast<float>(x);
  EXPECT_NEAR(SoftmaxCrossEntropy<float>()(single, kLabels).value,
              SoftmaxCrossEntropy<double>()(x, kLabels).value, 1e-6);
  EXPECT_NEAR(MulticlassHinge<float>()(single, kLabels).value, MulticlassHinge<double>()(x, kLabels).value,
              1e-6);
}

TEST(Losses, CheckGradientsFindsAWrongLoss) {
  class Doubled final : public Loss<double> {
   public:
    LossResult<double> operator()(const Tensor<double>& x, const Labels& labels) const override {
      LossResult<double> result = SoftmaxCrossEntropy<double>()(x, labels);
      result.gradient *= 1 + 1e-4;
      return result;
    }
    std::string type() const override { return "Doubled"; }
    std::unique_ptr<Loss> clone() const override { return std::make_unique<Doubled>(*this); }
  };
  EXPECT_FALSE(check_gradients(Doubled(), some_scores(), kLabels).passed());
}

TEST(Losses, CloneKeepsTheOptions) {
  const SoftmaxCrossEntropy<double> smooth({.label_smoothing = 0.2});
  EXPECT_EQ((*smooth.clone())(some_scores(), kLabels).value, smooth(some_scores(), kLabels).value);
  const MulticlassHinge<double> hinge({.margin = 2});
  EXPECT_EQ((*hinge.clone())(some_scores(), kLabels).value, hinge(some_scores(), kLabels).value);
}

TEST(Losses, RefuseALabelOutOfRange) {
  const SoftmaxCrossEntropy<float> softmax;
  const MulticlassHinge<float> hinge;
  const auto x = full<float>({2, 10}, 0);
  EXPECT_THAT(
      [&] {
        softmax(x, {3, 10});
      },
      ThrowsMessage<ArgumentError>(AllOf(HasSubstr("SoftmaxCrossEntropy"), HasSubstr("label 10"),
                                         HasSubstr("sample 1"), HasSubstr("10 classes"))));
  EXPECT_THAT(
      [&] {
        hinge(x, {-1, 0});
      },
      ThrowsMessage<ArgumentError>(AllOf(HasSubstr("MulticlassHinge"), HasSubstr("label -1"),
                                         HasSubstr("sample 0"), HasSubstr("10 classes"))));
}

TEST(Losses, RefuseWrongShapes) {
  const SoftmaxCrossEntropy<float> loss;
  EXPECT_THAT(
      [&] {
        loss(full<float>({2, 3, 4}, 0), {0, 0});
      },
      ThrowsMessage<ShapeError>(AllOf(HasSubstr("(N, classes)"), HasSubstr("(2, 3, 4)"))));
  EXPECT_THAT(
      [&] {
        loss(full<float>({2, 3}, 0), {0});
      },
      ThrowsMessage<ShapeError>(
          AllOf(HasSubstr("expected 2 labels"), HasSubstr("(2, 3)"), HasSubstr("got 1"))));
  EXPECT_THAT([&] { loss(empty<float>({0, 3}), {}); }, ThrowsMessage<ShapeError>(HasSubstr("(0, 3)")));
  const MeanSquaredError<float> mse;
  EXPECT_THAT(
      [&] {
        mse(full<float>({2, 3}, 0), full<float>({3, 2}, 0));
      },
      ThrowsMessage<ShapeError>(AllOf(HasSubstr("(2, 3)"), HasSubstr("(3, 2)"))));
  EXPECT_THAT(
      [&] {
        mse(empty<float>({0, 3}), empty<float>({0, 3}));
      },
      ThrowsMessage<ShapeError>(HasSubstr("(0, 3)")));
}

TEST(Losses, RefuseOptionsOutOfRange) {
  EXPECT_THAT([] { SoftmaxCrossEntropy<float>({.label_smoothing = 1.5}); },
              ThrowsMessage<ArgumentError>(HasSubstr("1.5")));
  EXPECT_THAT([] { SoftmaxCrossEntropy<float>({.label_smoothing = -0.1}); },
              ThrowsMessage<ArgumentError>(HasSubstr("label_smoothing")));
  EXPECT_THAT([] { MulticlassHinge<float>({.margin = 0}); },
              ThrowsMessage<ArgumentError>(HasSubstr("margin")));
}

}  // namespace
}  // namespace strata
