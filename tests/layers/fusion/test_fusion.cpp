// Fused networks against the same layers run one by one.
#include <gtest/gtest.h>

#include "tests/layers/fusion/fusion_checks.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using testing::expect_same_inference;
using testing::expect_same_step;
using testing::max_error;
using testing::pick;
using testing::same_bits;
using testing::some;
using testing::Twins;

using Fusion = testing::FusionTest;

// With a smaller eps a channel that hardly varies makes gradients so large that their rounding shows.
constexpr double kEps = 0.1;

/// For a single pixel always a batch norm: the others may refuse it.
template <class T>
std::unique_ptr<Layer<T>> random_norm(Random& random, Index channels, bool single_pixel) {
  const bool affine = random.below(4) != 0;
  switch (random.below(5) + (single_pixel ? 2 : 0)) {
    case 0:
      return std::make_unique<InstanceNorm2D<T>>(
          channels,
          InstanceNormOptions{.eps = kEps, .affine = affine, .track_running_stats = random.below(2) == 0});
    case 1:
      return std::make_unique<GroupNorm<T>>(1, channels, GroupNormOptions{.eps = kEps, .affine = affine});
    default:
      return std::make_unique<SpatialBatchNorm<T>>(
          channels,
          BatchNormOptions{.eps = kEps, .affine = affine, .track_running_stats = random.below(4) != 0});
  }
}

struct Problem {
  Shape input;
  Index channels;
};

/// Adds conv, norm, ReLU and max pooling, each perhaps.
template <class T>
void add_block(Sequential<T>& net, Random& random, Problem& problem) {
  const auto shape = [&] { return net.output_shape(problem.input); };
  if (random.below(3) != 0) {
    const Index in = problem.channels, out = pick(random, 1, 20);
    const Size2D kernel = random.below(2) ? Size2D(3) : Size2D(pick(random, 1, 3), pick(random, 1, 3));
    const bool grouped = random.below(5) == 0;
    problem.channels = grouped ? in : out;
    net.add(Conv2D<T>{in,
                      problem.channels,
                      kernel,
                      {.stride = random.below(4) == 0 ? 2 : 1,
                       .padding = 1,
                       .groups = grouped ? in : 1,
                       .bias = random.below(2) == 0}});
  }
  if (random.below(5) != 0) net.add(random_norm<T>(random, problem.channels, shape()[2] * shape()[3] == 1));
  if (random.below(4) != 0) net.add(ReLU<T>{});
  const auto height = static_cast<Index>(shape()[2]), width = static_cast<Index>(shape()[3]);
  const Size2D window(pick(random, 1, 3), pick(random, 1, 3));
  if (random.below(2) == 0 && window.h <= height && window.w <= width)
    net.add(MaxPool2D<T>{window, {.stride = pick(random, 1, 3), .padding = window == Size2D(3) ? 1 : 0}});
}

template <class T>
struct Network {
  Sequential<T> net;
  Shape input;
};

template <class T>
Network<T> random_network(Random& random) {
  Problem problem{
      {static_cast<std::size_t>(pick(random, 2, 5)), static_cast<std::size_t>(pick(random, 1, 6)),
       static_cast<std::size_t>(pick(random, 3, 21)), static_cast<std::size_t>(pick(random, 3, 21))},
      0};
  problem.channels = static_cast<Index>(problem.input[1]);
  Network<T> result;
  add_block(result.net, random, problem);
  add_block(result.net, random, problem);
  result.net.add(Flatten<T>{});
  const auto features = static_cast<Index>(result.net.output_shape(problem.input)[1]);
  result.net.add(Linear<T>{features, 7});
  if (random.below(2)) result.net.add(BatchNorm1D<T>{7, {.eps = kEps}});
  if (random.below(2)) result.net.add(ReLU<T>{});
  for (Parameter<T>* parameter : result.net.parameters())
    parameter->value = parameter->value + random.normal<T>(parameter->value.shape()) * T(0.3);
  result.input = problem.input;
  return result;
}

template <class T>
void check_random_networks(int networks) {
  int skipped = 0;
  for (int seed = 0; seed < networks; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(static_cast<std::uint64_t>(seed)), again = random;
    const Network<T> network = random_network<T>(random);
    Twins<T> twins(network.net, random_network<double>(again).net);
    for (int step = 0; step < 2; ++step) skipped += !expect_same_step(twins, network.input, random);
    const auto x = random.normal<T>(network.input);
    expect_same_inference(twins, x);
    twins.for_each([](auto& net) {
      for (auto* parameter : net.parameters()) parameter->value *= 2;
    });
    expect_same_inference(twins, x);
    twins.for_each([](auto& net) { net.eval(); });
    skipped += !expect_same_step(twins, network.input, random);
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << summary(network.net, network.input);
      return;
    }
  }
  EXPECT_LE(skipped, 9);  // too near a kink, of 300 networks' three steps
}

TEST_F(Fusion, OfRandomNetworksComputesTheSameInDouble) {
  check_random_networks<double>(some(300));
}

TEST_F(Fusion, OfRandomNetworksComputesTheSameInFloat) {
  check_random_networks<float>(some(300));
}

TEST_F(Fusion, OfGraphsFollowsChainsBetweenJoins) {
  Graph<double> fused;
  fused.input("x")
      .add("conv1", Conv2D<double>{3, 4, 3, {.padding = 1, .bias = false}}, "x")
      .add("bn1", SpatialBatchNorm<double>{4}, "conv1")
      .add("relu1", ReLU<double>{}, "bn1")
      .add("conv2", Conv2D<double>{4, 4, 3, {.padding = 1}}, "relu1")
      .add("bn2", SpatialBatchNorm<double>{4}, "conv2")
      .join("sum", Add<double>{}, {"bn2", "relu1"})  // relu1 has two consumers, bn2's is no layer
      .add("relu2", ReLU<double>{}, "sum")
      .add("bn3", SpatialBatchNorm<double>{4}, "relu2")
      .output("bn3")
      .output("relu2");
  Graph<double> plain = fused;
  Random random(1);
  const auto x = random.normal<double>({3, 3, 7, 6});
  const auto run = [&](Graph<double>& graph, bool on) {
    set_fusion(on);
    std::vector<Tensor<double>> results = graph.forward(std::vector<Tensor<double>>{x});
    Random again(2);
    std::vector<Tensor<double>> dy;
    for (const auto& y : results) dy.push_back(again.normal<double>(y.shape()));
    for (auto& dx : graph.backward(std::move(dy))) results.push_back(std::move(dx));
    for (Parameter<double>* parameter : graph.parameters()) results.push_back(parameter->gradient);
    for (auto& y : Inference<double>(graph)(std::vector<Tensor<double>>{x})) results.push_back(std::move(y));
    return results;
  };
  const auto with = run(fused, true), without = run(plain, false);
  ASSERT_EQ(with.size(), without.size());
  for (std::size_t i = 0; i < with.size(); ++i) EXPECT_LT(max_error(with[i], without[i], 1), 1e-12) << i;
}

TEST_F(Fusion, GivesTheSameBitsWithAnyNumberOfThreads) {
  Sequential<float> net{Conv2D<float>{3, 32, 3, {.padding = 1}}, SpatialBatchNorm<float>{32}, ReLU<float>{},
                        MaxPool2D<float>{2}};
  const auto x = Random(1).normal<float>({16, 3, 32, 32}), dy = Random(2).normal<float>({16, 32, 16, 16});
  const int before = num_threads();
  set_fusion(true);
  const auto run = [&](int threads) {
    set_num_threads(threads);
    Sequential<float> copy = net;
    std::vector<Tensor<float>> results{copy.forward(x), copy.backward(dy), Inference<float>(copy)(x)};
    for (Parameter<float>* parameter : copy.parameters()) results.push_back(parameter->gradient);
    return results;
  };
  const auto expected = run(1);
  for (const int threads : {2, 3, 5}) {
    const auto results = run(threads);
    for (std::size_t i = 0; i < results.size(); ++i) EXPECT_TRUE(same_bits(results[i], expected[i])) << i;
  }
  set_num_threads(before);
}

TEST_F(Fusion, StepsAsideWhereEveryLayerIsToBeChecked) {
  Sequential<double> net{SpatialBatchNorm<double>{2}, ReLU<double>{}};
  net.named_parameters()[0].second->value(0) = NAN;
  set_fusion(true);
  const FiniteChecks checks;
  EXPECT_THAT(
      [&] {
        net.forward(Random(1).normal<double>({2, 2, 3, 3}));
      },
      ::testing::ThrowsMessage<NotFiniteError>(::testing::HasSubstr("SpatialBatchNorm '0'")));
}

TEST_F(Fusion, NeedsAForwardAfterTheNetworkWasChanged) {
  Sequential<double> net{SpatialBatchNorm<double>{2}};
  const auto x = Random(1).normal<double>({2, 2, 3, 3});
  net.forward(x);
  net.add(ReLU<double>{});
  EXPECT_THROW(net.backward(x), StateError);
}

}  // namespace
}  // namespace strata
