// A large batch goes through a network in parts: no one may notice.
#include <mutex>
#include <vector>

#include "strata/framework/graph/inference_parts.hpp"
#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

using detail::inference_part;
using testing::near;
using testing::same_bits;
using testing::samples;

// Keeps the sizes of the batches that it sees.
class Witness final : public Layer<float> {
 public:
  explicit Witness(std::vector<std::size_t>& seen, bool per_sample = true)
      : seen_(seen), per_sample_(per_sample) {}

  bool is_per_sample() const override { return per_sample_; }
  std::unique_ptr<Layer<float>> clone() const override { return std::make_unique<Witness>(*this); }
  std::string type() const override { return "Witness"; }

 protected:
  Tensor<float> do_forward(Tensor<float> x) override { return x; }
  Tensor<float> do_backward(Tensor<float> dy) override { return dy; }
  Tensor<float> do_infer(Tensor<float> x) const override {
    static std::mutex mutex;
    const std::scoped_lock lock(mutex);
    seen_.push_back(x.shape()[0]);
    return x;
  }

 private:
  std::vector<std::size_t>& seen_;
  bool per_sample_;
};

Conv2D<float> conv(Index in, Index out) {
  return {in, out, 3, {.padding = 1}};
}

// 64 KiB an image at its largest, in and out together 128.
Sequential<float> plain(bool track = true) {
  Sequential<float> net{conv(3, 16),
                        SpatialBatchNorm<float>{16, {.track_running_stats = track}},
                        ReLU<float>{},
                        MaxPool2D<float>{2},
                        Sequential<float>{conv(16, 8), InstanceNorm2D<float>{8}},
                        GlobalAvgPool2D<float>{},
                        Flatten<float>{},
                        Linear<float>{8, 5}};
  net.initialize(1);
  return net;
}

Graph<float> residual() {
  Graph<float> net;
  net.input("x")
      .add("a", conv(3, 16), "x")
      .add("norm", SpatialBatchNorm<float>{16}, "a")
      .add("relu", ReLU<float>{}, "norm")
      .add("b", conv(16, 16), "relu")
      .join("sum", Add<float>{}, {"b", "relu"})
      .join("both", Concat<float>{}, {"sum", "a"})
      .output("both");
  net.initialize(1);
  return net;
}

Tensor<float> images(std::size_t count) {
  return Random(2).normal<float>({count, 3, 32, 32});
}

// Running averages that are not those of a fresh network.
template <class Net>
void learn_statistics(Net& net) {
  for (int i = 0; i < 3; ++i) net.forward(images(8));
  net.eval();
}

TEST(InferenceParts, AreOfASizeThatFitsTheCache) {
  Sequential<float> net = plain();
  EXPECT_EQ(inference_part<float>(net, {64, 3, 32, 32}), 8);
  EXPECT_EQ(inference_part<float>(net, {37, 3, 32, 32}), 10);  // four of nearly one size
  EXPECT_EQ(inference_part<float>(net, {15, 3, 32, 32}), 15);
  EXPECT_EQ(inference_part<float>(net, {64, 3, 8, 8}), 64);
  EXPECT_EQ(inference_part<float>(net, {64, 3, 128, 128}), 8);
  EXPECT_EQ(inference_part<float>(Sequential<float>{Linear<float>{100, 100}}, {2000, 100}), 2000);
  EXPECT_EQ(inference_part<float>(Sequential<float>{Linear<float>{100, 100}}, {4000, 100}), 1334);
}

TEST(InferenceParts, SequentialGivesWhatForwardGives) {
  Sequential<float> net = plain();
  learn_statistics(net);
  for (const std::size_t count : {1, 16, 37, 64}) {
    const auto x = images(count);
    const Tensor<float> y = net.infer(x);
    EXPECT_TRUE(near(y, net.forward(x), 1e-5)) << count;
  }
}

// One image has smaller tiles in Winograd's convolution, which need a part of the filters' frequencies.
TEST(InferenceParts, OneImageBetweenManyAndManyAfterOneGiveWhatForwardGives) {
  Sequential<float> net{Conv2D<float>{16, 16, 3, {.padding = 1}}};
  Random random(7);
  for (const std::size_t count : {1, 20, 1, 20}) {
    const auto x = random.normal<float>({count, 16, 8, 8});
    EXPECT_TRUE(near(net.infer(x), net.forward(x), 1e-5)) << count;
  }
}

TEST(InferenceParts, GraphGivesWhatForwardGives) {
  Graph<float> net = residual();
  learn_statistics(net);
  const auto x = images(37);
  EXPECT_TRUE(near(net.infer(x), net.forward(x), 1e-5));
}

TEST(InferenceParts, APartIsComputedAsABatchOfItsSize) {
  Sequential<float> net = plain();
  learn_statistics(net);
  const auto x = images(37);
  const Tensor<float> y = net.infer(x);
  for (const Index begin : {0, 10, 20, 30}) {
    const Index end = std::min<Index>(37, begin + 10);
    EXPECT_TRUE(same_bits(net.infer(samples(x, begin, end)), samples(y, begin, end))) << begin;
  }
}

TEST(InferenceParts, HaveTheSameBitsWithAnyNumberOfThreads) {
  Graph<float> net = residual();
  learn_statistics(net);
  const auto x = images(50);
  const int before = num_threads();
  set_num_threads(1);
  const Tensor<float> y = net.infer(x);
  for (const int threads : {2, 3, 5, 8}) {
    set_num_threads(threads);
    EXPECT_TRUE(same_bits(net.infer(x), y)) << threads;
  }
  set_num_threads(before);
}

TEST(InferenceParts, ALayerBehindSeesParts) {
  std::vector<std::size_t> seen;
  Sequential<float> net = plain();
  net.add(Witness(seen));
  net.infer(images(37));
  EXPECT_THAT(seen, ::testing::UnorderedElementsAre(10, 10, 10, 7));
}

TEST(InferenceParts, ALayerThatDoesNotAllowItSeesTheWholeBatch) {
  std::vector<std::size_t> seen;
  Sequential<float> net = plain();
  net.add(Sequential<float>{Witness(seen, /*per_sample=*/false)});
  net.infer(images(64));
  EXPECT_THAT(seen, ::testing::ElementsAre(64));

  Graph<float> graph;
  graph.input("x").add("net", net, "x").output("net");
  graph.infer(images(64));
  EXPECT_THAT(seen, ::testing::ElementsAre(64, 64));
}

TEST(InferenceParts, StatisticsOfTheBatchNeedTheWholeBatch) {
  Sequential<float> net = plain(/*track=*/false);
  EXPECT_FALSE(net.is_per_sample());
  net.eval();
  const auto x = images(64);
  EXPECT_TRUE(near(net.infer(x), net.forward(x), 1e-5));
}

TEST(InferenceParts, FiniteChecksSeeEveryLayer) {
  Sequential<float> net = plain();
  net.eval();
  auto x = images(64);
  x(50, 0, 0, 0) = NAN;
  const FiniteChecks checks;
  EXPECT_THROW(net.infer(x), NotFiniteError);
}

TEST(InferenceParts, AWrongShapeIsRefusedAsBefore) {
  const Sequential<float> net = plain();
  EXPECT_THROW(net.infer(Random(1).normal<float>({64, 4, 32, 32})), ShapeError);
  EXPECT_THROW(net.infer(Tensor<float>()), ShapeError);
}

}  // namespace
}  // namespace strata
