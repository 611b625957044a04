// The weights that infer keeps in another form follow every change, whoever makes it.
#include <functional>

#include <gtest/gtest.h>

#include "strata/framework/io/weights.hpp"
#include "tests/framework/temporary_folder.hpp"
#include "tests/layers/fusion/fusion_checks.hpp"

namespace strata {
namespace {

using testing::max_error;

using FoldedWeights = testing::FusionTest;
using Net = Sequential<double>;

Net make_net(std::uint64_t seed) {
  Net net{Conv2D<double>{3, 4, 3, {.padding = 1}}, SpatialBatchNorm<double>{4}, ReLU<double>{},
          Conv2D<double>{4, 2, 3}};
  net.initialize(seed);
  return net;
}

Tensor<double> images() {
  return Random(1).normal<double>({2, 3, 6, 6});
}

// Infers, changes the network, and infers again; each time as the layers one by one.
void expect_to_follow(Net& net, const std::function<void()>& change) {
  const auto x = images();
  const auto infer = [&](bool fuse) {
    set_fusion(fuse);
    return net.infer(x);
  };
  const auto before = infer(true);
  EXPECT_LT(max_error(before, infer(false), 1), 1e-12);
  set_fusion(true);
  change();
  const auto after = infer(true);
  EXPECT_LT(max_error(after, infer(false), 1), 1e-12);
  EXPECT_GT(max_error(after, before, 1), 1e-3);
}

TEST_F(FoldedWeights, FollowsPointersThatWereTakenBeforeAndAfter) {
  Net net = make_net(1);
  expect_to_follow(net,
                   [&] { dynamic_cast<Conv2D<double>&>(net.find("0")).weight().value(1, 1, 1, 1) += 1; });
  expect_to_follow(net, [&] { dynamic_cast<Conv2D<double>&>(net.find("3")).bias().value(1) += 1; });
  auto& norm = dynamic_cast<SpatialBatchNorm<double>&>(net.find("1"));
  double& mean = norm.running_mean()(2);
  double& gamma = norm.weight().value(2);
  expect_to_follow(net, [&] { mean -= 1; });
  expect_to_follow(net, [&] { gamma += 1; });
  for (const auto& [name, parameter] : make_net(1).named_parameters())
    expect_to_follow(net, [&] {
      for (const auto& [other, own] : net.named_parameters())
        if (other == name) own->value += 1;
    });
}

TEST_F(FoldedWeights, FollowsWhatTheLibraryChanges) {
  Net net = make_net(1);
  expect_to_follow(net, [&] { net.initialize(2); });
  expect_to_follow(net, [&] { net.forward(images()); });  // running averages
  const TemporaryFolder folder;
  const std::string file = folder / "weights.safetensors";
  Net other = make_net(3);
  save_weights(other, file);
  expect_to_follow(net, [&] { load_weights(net, file); });
  EXPECT_LT(max_error(net.infer(images()), other.infer(images()), 1), 1e-12);
  EXPECT_TRUE(net.find("0").state_version().number());  // without anyone having taken a pointer
}

TEST_F(FoldedWeights, FollowsAssignments) {
  Net net = make_net(1), other = make_net(2), changed = net;
  expect_to_follow(net, [&] { net = other; });
  auto& convolution = dynamic_cast<Conv2D<double>&>(net.find("0"));
  const auto conv_of = [](Net& from) -> Conv2D<double>& {
    return dynamic_cast<Conv2D<double>&>(from.find("0"));
  };
  expect_to_follow(net, [&] { convolution = conv_of(changed); });
  // A copy has its origin's version until it differs.
  changed = net;
  expect_to_follow(net, [&] {
    conv_of(changed).weight().value *= 2;
    convolution = conv_of(changed);
  });
  changed = net;
  expect_to_follow(net, [&] {
    conv_of(changed).weight().value *= 2;
    convolution = std::move(conv_of(changed));
  });
  expect_to_follow(net, [&] { convolution.weight().value *= 0.5; });
}

}  // namespace
}  // namespace strata
