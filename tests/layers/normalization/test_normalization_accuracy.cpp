// Normalization where floats are short of digits: large means, constant channels, outliers.
#include <memory>

#include "tests/layers/layer_checks.hpp"
#include "tests/layers/normalization_results.hpp"

namespace strata {
namespace {

using testing::per_slice;

struct Case {
  const char* name;
  std::shared_ptr<Layer<float>> layer;
  Shape shape;
  normalization::Sets norm;
};

std::vector<Case> cases() {
  const Shape large{64, 4, 32, 32}, small{40, 5, 3, 3}, cut{3, 2, 200, 300}, rows{400, 30};
  return {
      {"batch", std::make_shared<SpatialBatchNorm<float>>(4), large, normalization::per_channel(large)},
      {"batch, short runs", std::make_shared<SpatialBatchNorm<float>>(5), small,
       normalization::per_channel(small)},
      {"batch, large planes", std::make_shared<SpatialBatchNorm<float>>(2), cut,
       normalization::per_channel(cut)},
      {"batch, columns", std::make_shared<BatchNorm1D<float>>(30), rows, normalization::per_channel(rows)},
      {"instance", std::make_shared<InstanceNorm2D<float>>(4), large, normalization::per_group(large, 4)},
      {"instance, short runs", std::make_shared<InstanceNorm2D<float>>(5), small,
       normalization::per_group(small, 5)},
      {"instance, large planes", std::make_shared<InstanceNorm2D<float>>(2), cut,
       normalization::per_group(cut, 2)},
      {"group", std::make_shared<GroupNorm<float>>(2, 4), large, normalization::per_group(large, 2)},
      {"layer", std::make_shared<LayerNorm<float>>(Shape{30}), rows, per_slice(rows, 30)},
  };
}

/// Runs forward and backward on x and compares them with plain loops in double on the same floats.
void expect_accurate(const Case& c, const Tensor<float>& x, double tolerance_y, double tolerance_gradient) {
  SCOPED_TRACE(c.name);
  const auto dy = Random(2).normal<float>(c.shape);
  const auto parameters = static_cast<std::size_t>(c.norm.channels);
  const auto expected = testing::reference_norm(c.norm, xt::cast<double>(x), full<double>({parameters}, 1),
                                                full<double>({parameters}, 0), xt::cast<double>(dy), 1e-5);
  testing::for_each_instruction_set([&] {
    const Tensor<float> y = c.layer->forward(x), dx = c.layer->backward(dy);
    EXPECT_TRUE(testing::near(y, expected.y, tolerance_y));
    EXPECT_TRUE(testing::near(dx, expected.dx, tolerance_gradient * std::max(1.0, expected.dx_scale)));
  });
}

// PyTorch 1.13 is off by 8e-4 in batch norm and by 1e-3 in instance norm.
TEST(NormalizationAccuracy, MeanOfTenThousandDeviationsOfOne) {
  for (const Case& c : cases()) expect_accurate(c, Random(1).normal<float>(c.shape, 1e4, 1), 2e-6, 2e-6);
}

TEST(NormalizationAccuracy, FirstValueFarFromTheMean) {
  for (const Case& c : cases()) {
    auto x = Random(1).normal<float>(c.shape, 100, 1);
    x.data()[0] = -3000;
    expect_accurate(c, x, 2e-6, 2e-6);
  }
}

// Each image has a brightness of its own, so that no value of one tells the mean of all.
TEST(NormalizationAccuracy, ImagesFarApart) {
  for (const Case& c : cases()) {
    auto x = Random(1).normal<float>(c.shape);
    const std::size_t size = x.size() / c.shape[0];
    for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] += 1000 * static_cast<float>(i / size % 7);
    expect_accurate(c, x, 4e-6, 4e-6);
  }
}

// The gradient of beta sums over all samples: in float it would be off by 1e-4.
TEST(NormalizationAccuracy, ManySamplesAddUp) {
  const std::size_t samples = 100'000;
  LayerNorm<float> layer(Shape{4});
  layer.forward(Random(1).normal<float>({samples, 4}));
  layer.backward(full<float>({samples, 4}, 0.1f));
  const double sum = static_cast<double>(samples) * static_cast<double>(0.1f);
  for (const float gradient : layer.bias().gradient)
    EXPECT_NEAR(static_cast<double>(gradient) / sum, 1, 1e-6);
}

// 0.1 and 1e6 / 3 are not floats: their sums round.
TEST(NormalizationAccuracy, ConstantChannelsGiveBetaAndFiniteGradients) {
  for (const Case& c : cases())
    for (const float value : {0.0f, 0.1f, -1e6f / 3}) {
      SCOPED_TRACE(c.name);
      testing::for_each_instruction_set([&] {
        EXPECT_EQ(c.layer->forward(full<float>(c.shape, value)), full<float>(c.shape, 0));
        const auto dy = Random(2).normal<float>(c.shape);
        const Tensor<float> dx = c.layer->backward(dy);
        for (const float gradient : dx) ASSERT_TRUE(std::isfinite(gradient));
      });
    }
  SpatialBatchNorm<double> layer(2);
  layer.bias().value = Tensor<double>{0.3, -0.7};
  const Tensor<double> y = layer.forward(full<double>({2, 2, 5, 5}, 1.0 / 3));
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], i / 25 % 2 ? -0.7 : 0.3);
}

TEST(NormalizationAccuracy, NotANumberIsNotHidden) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    auto x = Random(1).normal<float>(c.shape);
    x.data()[x.size() - 1] = NAN;
    const Tensor<float> y = c.layer->forward(x);
    EXPECT_TRUE(std::isnan(y.data()[x.size() - 1]));
    x.data()[x.size() - 1] = INFINITY;
    const FiniteChecks checks;
    EXPECT_THROW(c.layer->forward(x), NotFiniteError);
  }
}

}  // namespace
}  // namespace strata
