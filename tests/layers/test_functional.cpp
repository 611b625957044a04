// The course's functions.
#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// The notebook: x = 5 randn(2, 3, 4, 5) + 12, errors of about 1e-8, 1e-10 and 1e-11.
TEST(SpatialBatchnormBackward, AgreesWithDifferences) {
  Random random(231);
  const auto x = random.normal<double>({2, 3, 4, 5}, 12, 5), dout = random.normal<double>({2, 3, 4, 5});
  const auto gamma = random.normal<double>({3}), beta = random.normal<double>({3});
  for (const auto mode : {BatchNormMode::train, BatchNormMode::test}) {
    BatchNormParam<double> param{.mode = mode, .running_mean = {11, 12, 13}, .running_var = {20, 25, 30}};
    const auto out = [&](const Tensor<double>& x_, const Tensor<double>& gamma_,
                         const Tensor<double>& beta_) {
      auto copy = param;
      return spatial_batchnorm_forward(x_, gamma_, beta_, copy).out;
    };
    using F = std::function<Tensor<double>(const Tensor<double>&)>;
    const auto dx = numerical_gradient(F([&](const auto& t) { return out(t, gamma, beta); }), x, dout);
    const auto dgamma = numerical_gradient(F([&](const auto& t) { return out(x, t, beta); }), gamma, dout);
    const auto dbeta = numerical_gradient(F([&](const auto& t) { return out(x, gamma, t); }), beta, dout);
    const auto forward = spatial_batchnorm_forward(x, gamma, beta, param);
    const auto gradients = spatial_batchnorm_backward(dout, forward.cache);
    EXPECT_LT(relative_error(gradients.dx, dx), 1e-6);
    EXPECT_LT(relative_error(gradients.dgamma, dgamma), 1e-8);
    EXPECT_LT(relative_error(gradients.dbeta, dbeta), 1e-9);
  }
}

TEST(BatchnormForward, MomentumIsTheWeightOfTheOldValue) {
  const Tensor<double> x{{1, 10}, {3, 30}}, gamma{1, 1}, beta{0, 0};
  BatchNormParam<double> param;  // running averages start at 0, the variance too
  batchnorm_forward(x, gamma, beta, param);
  EXPECT_TRUE(testing::near(param.running_mean, Tensor<double>{0.1 * 2, 0.1 * 20}, 1e-15));
  EXPECT_TRUE(testing::near(param.running_var, Tensor<double>{0.1 * 1, 0.1 * 100}, 1e-14));
  batchnorm_forward(x, gamma, beta, param);
  EXPECT_TRUE(testing::near(param.running_mean, Tensor<double>{0.19 * 2, 0.19 * 20}, 1e-14));
  EXPECT_TRUE(testing::near(param.running_var, Tensor<double>{0.19 * 1, 0.19 * 100}, 1e-14));
}

TEST(BatchnormForward, IsWhatTheLayersCompute) {
  Random random(3);
  const auto gamma = random.normal<float>({5}), beta = random.normal<float>({5});
  BatchNormParam<float> param{.running_mean = full<float>({5}, 0), .running_var = full<float>({5}, 1)};
  BatchNorm1D<float> layer(5);
  layer.weight().value = gamma;
  layer.bias().value = beta;
  for (int batch = 0; batch < 3; ++batch) {
    const auto x = random.normal<float>({7, 5}, 2, 3), dout = random.normal<float>({7, 5});
    const auto forward = batchnorm_forward(x, gamma, beta, param);
    EXPECT_TRUE(testing::same_bits(forward.out, layer.forward(x)));
    const auto gradients = batchnorm_backward(dout, forward.cache);
    EXPECT_TRUE(testing::same_bits(gradients.dx, layer.backward(dout)));
    EXPECT_TRUE(testing::same_bits(gradients.dgamma, layer.weight().gradient));
    EXPECT_TRUE(testing::same_bits(gradients.dbeta, layer.bias().gradient));
  }
  EXPECT_TRUE(testing::near(param.running_var, layer.running_var(), 1e-6));
  param.mode = BatchNormMode::test;
  const Tensor<float> before = param.running_mean;
  layer.running_mean() = param.running_mean;
  layer.running_var() = param.running_var;
  const auto x = random.normal<float>({1, 5});
  EXPECT_TRUE(testing::same_bits(batchnorm_forward(x, gamma, beta, param).out, layer.infer(x)));
  EXPECT_EQ(param.running_mean, before);
}

TEST(BatchnormForward, RefusesMisuse) {
  const auto forward = [](const Shape& x, Index channels, BatchNormParam<float> param) {
    return [=] {
      auto own = param;
      const Shape shape{static_cast<std::size_t>(channels)};
      spatial_batchnorm_forward(full<float>(x, 0), full<float>(shape, 1), full<float>(shape, 0), own);
    };
  };
  const auto says = [](const char* part) { return HasSubstr(part); };
  EXPECT_THAT(forward({2, 3}, 3, {}),
              ThrowsMessage<ShapeError>(says("spatial_batchnorm_forward: expected x")));
  EXPECT_THAT(forward({2, 3, 4, 4}, 2, {}), ThrowsMessage<ShapeError>(says("gamma of shape (3), got (2)")));
  EXPECT_THAT(forward({1, 3, 1, 1}, 3, {}), ThrowsMessage<ShapeError>(says("more than one value")));
  EXPECT_THAT(forward({2, 3, 4, 4}, 3, {.eps = 0}), ThrowsMessage<ArgumentError>(says("eps > 0")));
  EXPECT_THAT(forward({2, 3, 4, 4}, 3, {.momentum = -0.1}), ThrowsMessage<ArgumentError>(says("momentum")));
  EXPECT_THAT(forward({2, 3, 4, 4}, 3, {.running_mean = full<float>({2}, 0)}),
              ThrowsMessage<ShapeError>(says("running_mean of shape (3), got (2)")));
  BatchNormParam<float> param;
  const auto result =
      batchnorm_forward(full<float>({2, 3}, 0), full<float>({3}, 1), full<float>({3}, 0), param);
  EXPECT_THAT(
      [&] {
        batchnorm_backward(full<float>({3, 3}, 0), result.cache);
      },
      ThrowsMessage<ShapeError>(says("dout of shape (2, 3), got (3, 3)")));
}

}  // namespace
}  // namespace strata
