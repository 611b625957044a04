// The networks of the examples: shapes, starting loss, gradients through all of their layers.
#include <cmath>

#include <gtest/gtest.h>

#include "models/cifar.hpp"
#include "models/course.hpp"

namespace strata::models {
namespace {

constexpr Index kClasses = 10;
const Shape kImage{3, 16, 16};
// Few activations: the more there are, the likelier one of them lies so close to the kink of its ReLU that no
// step is short enough.
const Shape kSmallImage{3, 8, 8};

void expect_right_gradients(Layer<double>& net, std::uint64_t seed, const Shape& image = kImage) {
  net.initialize(seed);
  Random random(seed);
  for (Parameter<double>* p : net.parameters())  // gamma = 1 and beta = 0 would hide what they do
    if (!p->decay) p->value = random.uniform<double>(p->value.shape(), 0.5, 1.5);
  const auto x = random.normal<double>({3, image[0], image[1], image[2]});
  const GradientReport report = check_gradients(net, x, {.max_elements = 4});
  EXPECT_TRUE(report.passed()) << report;
}

template <class Net>
void expect_scores(const Net& net) {
  EXPECT_EQ(net.output_shape({5, 3, 16, 16}), (Shape{5, kClasses}));
}

TEST(Models, QuickAndResnetHaveRightGradientsWithEveryNorm) {
  for (const Norm norm : {Norm::none, Norm::batch, Norm::instance, Norm::group, Norm::layer}) {
    auto a = quick<double>(kImage, kClasses, norm);
    expect_scores(a);
    expect_right_gradients(a, 1);
    auto b = resnet<double>(kSmallImage, kClasses, norm);
    expect_scores(b);
    expect_right_gradients(b, 2, kSmallImage);
  }
}

TEST(Models, VggHasRightGradientsWithEveryNorm) {
  for (const Norm norm : {Norm::none, Norm::batch, Norm::group, Norm::layer}) {
    auto c = vgg<double>(kSmallImage, kClasses, norm);
    expect_right_gradients(c, 3, kSmallImage);
  }
}

TEST(Models, OfTheCourseHaveRightGradients) {
  for (const Norm norm : {Norm::none, Norm::batch, Norm::layer})
    for (const double dropout : {0.0, 0.25}) {
      auto net =
          fully_connected_net<double>(kImage, {7, 6}, kClasses, {.normalization = norm, .dropout = dropout});
      expect_scores(net);
      expect_right_gradients(net, 4);
    }
  auto net =
      three_layer_conv_net<double>(kImage, kClasses, {.filters = 4, .filter_size = 5, .hidden_dim = 9});
  expect_scores(net);
  expect_right_gradients(net, 5);
}

// As the course says: with small weights every class is as likely as any other.
TEST(Models, OfTheCourseStartAtTheLogarithmOfTheNumberOfClasses) {
  const auto x = Random(6).normal<double>({8, 3, 16, 16});
  const Labels labels{0, 1, 2, 3, 4, 5, 6, 7};
  auto dense = fully_connected_net<double>(kImage, {50, 50}, kClasses, {.weight_scale = 1e-3});
  auto conv = three_layer_conv_net<double>(kImage, kClasses);
  const SoftmaxCrossEntropy<double> loss;
  EXPECT_NEAR(loss(dense.forward(x), labels).value, std::log(kClasses), 1e-3);
  EXPECT_NEAR(loss(conv.forward(x), labels).value, std::log(kClasses), 1e-3);
}

TEST(Models, OfTheCourseDrawTheirWeightsFromTheSeedWithTheGivenScale) {
  const auto weights = [](std::uint64_t seed) {
    auto net = fully_connected_net<double>(kImage, {100}, kClasses, {.weight_scale = 0.02, .seed = seed});
    return net.parameters()[0]->value;
  };
  EXPECT_EQ(weights(1), weights(1));
  EXPECT_NE(weights(1), weights(2));
  double squares = 0;
  for (const double w : weights(1)) squares += w * w;
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(weights(1).size())), 0.02, 2e-4);
}

TEST(Models, VggHasTheParametersOfItsDescription) {
  auto net = vgg<float>({3, 32, 32}, kClasses);
  const Index convolutions = 9 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128);
  const Index norms = 2 * 2 * (32 + 64 + 128) + 2 * 256;
  EXPECT_EQ(net.parameter_count(), convolutions + norms + 2048 * 256 + 256 + 256 * kClasses + kClasses);
}

}  // namespace
}  // namespace strata::models
