#include <gtest/gtest.h>

#include "strata/framework/state_version.hpp"
#include "strata/strata.hpp"

namespace strata {
namespace {

TEST(StateVersion, IsAnotherForEachObjectAndAfterEachChange) {
  StateVersion a, b;
  ASSERT_TRUE(a.number() && b.number());
  EXPECT_NE(a.number(), b.number());
  const auto before = a.number();
  a.change();
  EXPECT_NE(a.number(), before);
  EXPECT_NE(a.number(), b.number());
}

TEST(StateVersion, OfACopyIsTheOrigins) {
  StateVersion a;
  const StateVersion copy = a;
  EXPECT_EQ(copy.number(), a.number());
  StateVersion assigned;
  assigned = a;
  EXPECT_EQ(assigned.number(), a.number());
  a.change();
  EXPECT_NE(copy.number(), a.number());
}

TEST(StateVersion, EndsWithAPointerToTheState) {
  StateVersion a;
  const auto before = a.number();
  a.lend();
  EXPECT_FALSE(a.number());
  a.change();
  EXPECT_FALSE(a.number());
  const StateVersion copy = a;  // to which there is no pointer, and which may be of any state
  EXPECT_TRUE(copy.number());
  EXPECT_NE(copy.number(), before);
  StateVersion target;
  target.lend();
  target = copy;  // the pointers to it stay
  EXPECT_FALSE(target.number());
  StateVersion free;
  free = a;
  EXPECT_TRUE(free.number());
  EXPECT_NE(free.number(), before);
}

TEST(StateVersion, MovesWithTheState) {
  StateVersion a;
  const auto before = a.number();
  StateVersion moved = std::move(a);
  EXPECT_EQ(moved.number(), before);
  EXPECT_NE(a.number(), before);
  StateVersion assigned;
  assigned = std::move(moved);
  EXPECT_EQ(assigned.number(), before);
  EXPECT_NE(moved.number(), before);
  assigned.lend();
  const StateVersion with_pointers = std::move(assigned);  // to elements, which have moved
  EXPECT_FALSE(with_pointers.number());
  StateVersion too;
  StateVersion lent;
  lent.lend();
  too = std::move(lent);
  EXPECT_FALSE(too.number());
}

TEST(StateVersion, OfALayerOutlivesWhatKeepsNoPointer) {
  Sequential<float> net{Conv2D<float>{2, 3, 3}, SpatialBatchNorm<float>{3}};
  auto& convolution = net.find("0");
  const auto version = convolution.state_version().number();
  ASSERT_TRUE(version);
  EXPECT_GT(net.parameter_count(), 0);
  EXPECT_GT(net.trainable_parameter_count(), 0);
  net.freeze();
  net.eval();
  net.infer(full<float>({1, 2, 5, 5}, 1));
  EXPECT_EQ(convolution.state_version().number(), version);
  net.initialize(1);
  EXPECT_NE(convolution.state_version().number(), version);
  EXPECT_TRUE(convolution.state_version().number());
  net.parameters();
  EXPECT_FALSE(convolution.state_version().number());
}

TEST(StateVersion, OfALayerEndsWithEachWayToAPointer) {
  const auto expect_end = [](auto layer, const auto& take) {
    EXPECT_TRUE(layer.state_version().number());
    take(layer);
    EXPECT_FALSE(layer.state_version().number());
  };
  const Conv2D<float> convolution(2, 3, 3);
  expect_end(convolution, [](auto& layer) { layer.weight(); });
  expect_end(convolution, [](auto& layer) { layer.bias(); });
  expect_end(convolution, [](auto& layer) { layer.named_parameters(); });
  expect_end(convolution, [](auto& layer) { state_of(layer); });
  const SpatialBatchNorm<float> norm(3);
  expect_end(norm, [](auto& layer) { layer.weight(); });
  expect_end(norm, [](auto& layer) { layer.bias(); });
  expect_end(norm, [](auto& layer) { layer.running_mean(); });
  expect_end(norm, [](auto& layer) { layer.running_var(); });
  expect_end(norm, [](auto& layer) { layer.named_buffers(); });
  expect_end(InstanceNorm2D<float>(3, {.track_running_stats = true}),
             [](auto& layer) { layer.running_mean(); });
}

}  // namespace
}  // namespace strata
