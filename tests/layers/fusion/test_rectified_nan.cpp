// A NaN passes a rectifier both ways, with the layers that it is fused with as alone.
#include <gtest/gtest.h>

#include "tests/layers/fusion/fusion_checks.hpp"

namespace strata {
namespace {

using namespace strata::testing;

using RectifiedNan = FusionTest;
using Net = Sequential<float>;

// What is NaN in one is NaN in the other, and all else is near.
void expect_same(const Tensor<float>& fused, const Tensor<float>& plain, const std::string& name) {
  ASSERT_EQ(fused.shape(), plain.shape());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const float a = fused.data()[i], b = plain.data()[i];
    EXPECT_TRUE(std::isnan(b) ? std::isnan(a) : std::abs(a - b) <= 1e-4f * std::max(1.0f, std::abs(b)))
        << name << ", element " << i << ": " << a << " is not " << b;
  }
}

void expect_same_step_with_nan(Net net) {
  Random random(3);
  auto x = random.normal<float>({3, 4, 7, 6});
  net.forward(x);  // moves running statistics
  x(1, 2, 3, 4) = NAN;
  const auto dy = random.uniform<float>(net.output_shape(x.shape()), 0.5, 1);
  for (const bool training : {true, false}) {
    SCOPED_TRACE(training ? "training" : "evaluation");
    net.train(training);
    for_each_instruction_set([&] {
      Net apart = net, together = net;
      const auto plain = run_step(apart, /*fuse=*/false, x, dy);
      for (const auto& [name, tensor] : run_step(together, /*fuse=*/true, x, dy))
        expect_same(tensor, plain.at(name), name);
    });
  }
}

TEST_F(RectifiedNan, PassesWithANormAndAPooling) {
  expect_same_step_with_nan(Net{SpatialBatchNorm<float>{4}, ReLU<float>{}});
  expect_same_step_with_nan(Net{SpatialBatchNorm<float>{4}, ReLU<float>{}, MaxPool2D<float>{2}});
  expect_same_step_with_nan(Net{InstanceNorm2D<float>{4}, ReLU<float>{}});
  expect_same_step_with_nan(Net{GroupNorm<float>{2, 4}, ReLU<float>{}});
  expect_same_step_with_nan(Net{LayerNorm<float>{Shape{4, 7, 6}}, ReLU<float>{}});
  for (const bool winograd : {true, false}) {
    const Conv2D<float> first{4, 16, 3, {.padding = 1, .winograd = winograd}},
        second{16, 16, 3, {.padding = 1, .winograd = winograd}};
    expect_same_step_with_nan(Net{first, SpatialBatchNorm<float>{16}, ReLU<float>{}, second,
                                  SpatialBatchNorm<float>{16}, ReLU<float>{}, MaxPool2D<float>{2}});
  }
}

// Here the gradient itself can be told: it is dy where the sum is NaN.
TEST_F(RectifiedNan, PassesWithASum) {
  const auto dy = Random(1).uniform<float>({2, 30}, 0.5, 1);
  for (const double slope : {0.0, 0.1}) {
    Graph<float> net;
    net.input("x").join("sum", Add<float>{}, {"x", "x"});
    if (slope == 0)
      net.add("relu", ReLU<float>{}, "sum");
    else
      net.add("relu", LeakyReLU<float>{slope}, "sum");
    net.output("relu");
    auto x = Random(2).normal<float>({2, 30});
    x(1, 3) = x(0, 29) = NAN;
    for (const bool fuse : {true, false})
      for_each_instruction_set([&] {
        set_fusion(fuse);
        net.forward(x);
        const Tensor<float> dx = net.backward(dy);
        EXPECT_EQ(dx(1, 3), 2 * dy(1, 3));
        EXPECT_EQ(dx(0, 29), 2 * dy(0, 29));
        EXPECT_EQ(dx(0, 0), (x(0, 0) > 0 ? 2 : 2 * static_cast<float>(slope)) * dy(0, 0));
      });
  }
}

}  // namespace
}  // namespace strata
