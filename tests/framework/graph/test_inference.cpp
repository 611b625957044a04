// Inference: a snapshot gives what infer gives, whatever happens to the network, whatever batches come, on
// many threads.
#include <functional>
#include <thread>

#include <gmock/gmock.h>

#include "strata/framework/graph/inference.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "tests/layers/fusion/fusion_checks.hpp"

namespace strata {
namespace {

using testing::for_each_instruction_set;
using testing::max_error;
using testing::same_bits;

using InferenceTest = testing::FusionTest;

template <class T>
Sequential<T> make_net(std::uint64_t seed) {
  Sequential<T> net{Conv2D<T>{3, 16, 3, {.padding = 1}},
                    SpatialBatchNorm<T>{16},
                    ReLU<T>{},
                    Conv2D<T>{16, 32, 3, {.padding = 1, .bias = false}},
                    InstanceNorm2D<T>{32},
                    ReLU<T>{},
                    MaxPool2D<T>{2},
                    Flatten<T>{},
                    Linear<T>{32 * 16, 5}};
  net.initialize(seed);
  return net;
}

template <class T>
Tensor<T> images(std::size_t count) {
  return Random(count).normal<T>({count, 3, 8, 8});
}

TEST_F(InferenceTest, GivesWhatInferGives) {
  set_fusion(true);
  Sequential<double> net = make_net<double>(1);
  for (int i = 0; i < 3; ++i) net.forward(images<double>(8));  // running averages
  const Inference<double> model{net};
  for (const std::size_t count : {1, 4, 1, 40, 4, 17, 1})
    EXPECT_LT(max_error(model(images<double>(count)), net.infer(images<double>(count)), 1), 1e-12) << count;
}

TEST_F(InferenceTest, GivesTheBitsOfInferWhereNothingIsFused) {
  Sequential<float> net = make_net<float>(1);
  const Inference<float> model{net};
  set_fusion(false);
  EXPECT_TRUE(same_bits(model(images<float>(4)), net.infer(images<float>(4))));
}

TEST_F(InferenceTest, OfALayerAloneAndOfAnEmptyNetwork) {
  const Linear<double> linear{3, 2};
  const Tensor<double> x{{1, 2, 3}, {4, 5, 6}};
  EXPECT_TRUE(same_bits(Inference<double>(linear)(x), linear.infer(x)));
  EXPECT_TRUE(same_bits(Inference<double>(Sequential<double>{})(x), x));
}

TEST_F(InferenceTest, IsOfTheMomentWhenItWasMade) {
  set_fusion(true);
  Sequential<double> net = make_net<double>(1);
  const auto x = images<double>(4);
  const Inference<double> model{net};
  const Tensor<double> before = model(x);
  const std::vector<std::function<void()>> changes{
      [&] { net.initialize(2); },
      [&] { net.forward(images<double>(8)); },
      [&] { dynamic_cast<Conv2D<double>&>(net.find("0")).weight().value(1, 1, 1, 1) += 1; },
      [&] { dynamic_cast<SpatialBatchNorm<double>&>(net.find("1")).running_mean()(2) -= 1; },
      [&] {
        dynamic_cast<Conv2D<double>&>(net.find("0")) = Conv2D<double>{3, 16, 3, {.padding = 1}};
      },
      [&] {
        dynamic_cast<SpatialBatchNorm<double>&>(net.find("1")) =
            SpatialBatchNorm<double>{16, {.track_running_stats = false}};
      },
      [&] { net = make_net<double>(3); },
      [&] { net.add(ReLU<double>{}); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    changes[i]();
    EXPECT_TRUE(same_bits(model(x), before)) << i;
    // A new one follows, and so does infer at any moment.
    EXPECT_LT(max_error(Inference<double>(net)(x), net.infer(x), 1), 1e-12) << i;
    EXPECT_GT(max_error(net.infer(x), before, 1), 1e-3) << i;
  }
}

TEST_F(InferenceTest, IsInEvaluationModeAndLeavesTheNetworkInTraining) {
  Sequential<double> net{Dropout<double>{0.5}, SpatialBatchNorm<double>{3}};
  const auto x = images<double>(4);
  const Inference<double> model{net};
  EXPECT_TRUE(same_bits(model(x), net.infer(x)));
  EXPECT_TRUE(net.training());
  EXPECT_FALSE(model.network().training());
}

TEST_F(InferenceTest, FollowsTheInstructionSet) {
  set_fusion(true);
  const Sequential<float> net = make_net<float>(1);
  const Inference<float> model{net};
  for (int round = 0; round < 2; ++round)
    for_each_instruction_set([&] {
      const auto x = images<float>(4);
      EXPECT_LT(max_error(model(x), net.infer(x), 1), 1e-5);
      EXPECT_TRUE(same_bits(model(x), Inference<float>(net)(x)));
    });
}

TEST_F(InferenceTest, ServesMoreShapesThanItKeepsPlansFor) {
  set_fusion(true);
  const Sequential<float> net = make_net<float>(1);
  const Inference<float> model{net};
  for (int round = 0; round < 2; ++round)
    for (std::size_t count = 1; count <= 20; ++count) {
      const auto x = images<float>(count);
      EXPECT_LT(max_error(model(x), net.infer(x), 1), 1e-5);
    }
}

TEST_F(InferenceTest, ServesEightThreadsAtOnce) {
  set_fusion(true);
  const Sequential<float> net = make_net<float>(1);
  const Inference<float> model{net};
  std::vector<Tensor<float>> expected;
  for (std::size_t count = 1; count <= 8; ++count)
    expected.push_back(Inference<float>(net)(images<float>(count)));
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 24; ++i) {
        const std::size_t count = 1 + (t + i) % 8;
        EXPECT_TRUE(same_bits(model(images<float>(count)), expected[count - 1]));
      }
    });
  for (std::thread& thread : threads) thread.join();
}

// A thread that waits for others to prepare weights takes on other pieces of the loop, which need the model
// too.
TEST_F(InferenceTest, ServesTheThreadsOfAParallelLoopThatCallItFirst) {
  set_fusion(true);
  const Sequential<float> net = make_net<float>(1);
  const auto x = images<float>(8);
  const Tensor<float> expected = Inference<float>(net)(x);
  for (int round = 0; round < 20; ++round) {
    const Inference<float> model{net};
    parallel_ranges(16, 1, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) EXPECT_TRUE(same_bits(model(x), expected));
    });
  }
}

TEST_F(InferenceTest, MovesAndOutlivesItsNetwork) {
  auto net = std::make_unique<Sequential<double>>(make_net<double>(1));
  const auto x = images<double>(2);
  const Tensor<double> expected = net->infer(x);
  Inference<double> first{*net};
  net = nullptr;
  const Inference<double> second = std::move(first);
  EXPECT_LT(max_error(second(x), expected, 1), 1e-12);
}

TEST_F(InferenceTest, RefusesAWrongShapeAndGoesOn) {
  const Inference<double> model{make_net<double>(1)};
  EXPECT_THAT(
      [&] {
        model(Random(1).normal<double>({2, 4, 8, 8}));
      },
      ::testing::ThrowsMessage<ShapeError>(::testing::HasSubstr("Conv2D '0'")));
  EXPECT_THROW(model(std::vector<Tensor<double>>{images<double>(1), images<double>(1)}), ShapeError);
  EXPECT_EQ(model(images<double>(2)).shape(), (Shape{2, 5}));
}

}  // namespace
}  // namespace strata
