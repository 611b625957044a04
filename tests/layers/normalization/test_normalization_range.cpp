// Normalization of values whose squares a float does not hold.
#include "tests/framework/kernels_only.hpp"
#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

struct Norm {
  std::shared_ptr<Layer<float>> layer;
  Shape shape;
};

std::vector<Norm> norms() {
  return {{std::make_shared<SpatialBatchNorm<float>>(2), {8, 2, 16, 16}},
          {std::make_shared<SpatialBatchNorm<float>>(2), {8, 2, 3, 3}},
          {std::make_shared<SpatialBatchNorm<float>>(2), {3, 2, 300, 300}},
          {std::make_shared<BatchNorm1D<float>>(2), {64, 2}},
          {std::make_shared<InstanceNorm2D<float>>(2, InstanceNormOptions{.track_running_stats = true}),
           {4, 2, 16, 16}},
          {std::make_shared<InstanceNorm2D<float>>(2), {4, 2, 3, 3}},
          {std::make_shared<GroupNorm<float>>(1, 2), {4, 2, 9, 9}},
          {std::make_shared<LayerNorm<float>>(Shape{30}), {5, 30}}};
}

// Up to what the header promises all is as for values near 1.
TEST(NormalizationRange, HoldsAsFarAsItIsPromised) {
  const KernelsOnly kernels_only;
  for (const Norm& norm : norms()) {
    SCOPED_TRACE(norm.layer->label() + " of " + to_string(norm.shape));
    const auto x = Random(1).uniform<float>(norm.shape, -1, 1);
    const Tensor<float> large = x * 1e17f;
    const auto dy = Random(2).normal<float>(norm.shape);
    testing::for_each_instruction_set([&] {
      norm.layer->train();
      const Tensor<float> y = norm.layer->forward(large), dx = norm.layer->backward(dy) * 1e17f;
      EXPECT_TRUE(testing::near(y, norm.layer->forward(x), 1e-4));
      EXPECT_TRUE(testing::near(dx, norm.layer->backward(dy), 1e-4));
    });
  }
}

// In double the sum of all deviations may overflow when squared, though no square of one does.
TEST(NormalizationRange, OverflowIsToldInDoubleToo) {
  const KernelsOnly kernels_only;
  constexpr std::size_t kRows = 32768;
  Tensor<double> x = Random(1).uniform<double>({kRows, 2}, -1e152, 1e152);
  for (std::size_t n = 0; n < kRows / 8; ++n)
    x(n, 0) = x(n, 1) = 0;  // where a first guess at the mean comes from
  const Tensor<double> images = [&] {
    Tensor<double> moved = x;
    moved.reshape({2, 2, 128, 128});
    return moved;
  }();
  testing::for_each_instruction_set([&] {
    for (const double share : {1e-5, 1e-2, 1.0, 1e2}) {
      const Tensor<double> small = x * (1e-152), large = x * share, other = images * share;
      // Right, or NaN.
      const Tensor<double> expected = BatchNorm1D<double>(2, {.eps = 1e-300}).forward(small),
                           y = BatchNorm1D<double>(2).forward(large);
      for (std::size_t i = 0; i < y.size(); ++i)
        if (!std::isnan(y.data()[i])) {
          ASSERT_NEAR(y.data()[i], expected.data()[i], 1e-6) << share;
        }
      InstanceNorm2D<double> instance(2);
      const Tensor<double> z = instance.forward(other);
      for (std::size_t s = 0; s < 4; ++s) {
        double squares = 0;
        for (std::size_t i = 0; i < 128 * 128; ++i)
          squares += z.data()[s * 128 * 128 + i] * z.data()[s * 128 * 128 + i];
        if (!std::isnan(squares)) {
          EXPECT_NEAR(squares / (128 * 128), 1, 1e-6) << share;
        }
      }
    }
  });
}

TEST(NormalizationRange, ACumulativeAverageDoesNotCountABatchThatOverflows) {
  SpatialBatchNorm<float> layer(2, {.momentum = std::nullopt}), other = layer;
  const auto x = Random(1).uniform<float>({8, 2, 4, 4}, -1, 1);
  layer.forward(full<float>({8, 2, 4, 4}, 3e38f) * x);
  for (auto* norm : {&layer, &other}) norm->forward(x);
  EXPECT_EQ(layer.num_batches_tracked(), 1);
  EXPECT_EQ(layer.running_mean(), other.running_mean());
  EXPECT_EQ(layer.running_var(), other.running_var());
}

// Squares that overflow are told, and do not spoil what evaluation needs.
TEST(NormalizationRange, OverflowIsToldAndRunningAveragesStay) {
  const KernelsOnly kernels_only;
  for (const Norm& norm : norms())
    for (const float size : {1e20f, 1e30f, 3e38f}) {
      SCOPED_TRACE(norm.layer->label() + " of " + to_string(norm.shape) + " up to " + std::to_string(size));
      const auto x = Random(1).uniform<float>(norm.shape, -1, 1);
      const Tensor<float> large = x * size;
      testing::for_each_instruction_set([&] {
        const auto layer = norm.layer->clone();
        layer->forward(x);
        const auto averages = [&] {
          std::vector<Tensor<float>> all;
          for (const auto& buffer : layer->named_buffers())
            if (const auto* tensor = std::get_if<Tensor<float>*>(&buffer.value)) all.push_back(**tensor);
          return all;
        };
        const auto before = averages();
        const Tensor<float> y = layer->forward(large);
        for (const float value : y) ASSERT_TRUE(std::isnan(value));
        EXPECT_EQ(averages(), before);
        const FiniteChecks checks;
        EXPECT_THAT([&] { layer->forward(large); },
                    ThrowsMessage<NotFiniteError>(HasSubstr(layer->label() + ": the output holds")));
        EXPECT_EQ(averages(), before);
      });
    }
}

// One channel that overflows takes nothing from the others.
TEST(NormalizationRange, OtherChannelsAreTakenIn) {
  SpatialBatchNorm<float> layer(2, {.momentum = 0.5});
  auto x = Random(1).normal<float>({4, 2, 5, 5});
  for (std::size_t n = 0; n < 4; ++n) x(n, 0, 2, 2) = NAN;
  layer.forward(x);
  EXPECT_EQ(layer.running_mean()(0), 0);
  EXPECT_EQ(layer.running_var()(0), 1);
  EXPECT_NE(layer.running_mean()(1), 0);
  EXPECT_EQ(layer.num_batches_tracked(), 1);
}

// The same where a convolution hands its images to the norm behind it one by one.
TEST(NormalizationRange, OverflowIsToldBehindAConvolution) {
  const KernelsOnly kernels_only;
  Sequential<float> net{Conv2D<float>{16, 16, 3, {.padding = 1, .bias = false}}, SpatialBatchNorm<float>{16},
                        ReLU<float>{}};
  const auto x = Random(1).uniform<float>({32, 16, 8, 8}, -1, 1);
  testing::for_each_instruction_set([&] {
    Sequential<float> copy = net;
    const Tensor<float> y = copy.forward(Tensor<float>(x * 1e25f));
    for (const float value : y) ASSERT_TRUE(std::isnan(value));
    for (const auto& buffer : copy.named_buffers())
      if (const auto* tensor = std::get_if<Tensor<float>*>(&buffer.value)) {
        for (const float value : **tensor) EXPECT_TRUE(std::isfinite(value));
      }
  });
}

}  // namespace
}  // namespace strata
