// A large batch goes through a network in parts: no one may notice.
#include <algorithm>
#include <mutex>
#include <vector>

#include "strata/framework/graph/inference.hpp"
#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

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
  Tensor<float> do_forward(Tensor<float> x, Record&) override { return x; }
  Tensor<float> do_backward(Tensor<float> dy, Record&) override { return dy; }
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

// How many samples a layer behind the network sees at a time.
std::vector<std::size_t> parts_of(Sequential<float> net, const Shape& x) {
  std::vector<std::size_t> seen;
  net.add(Witness(seen));
  const Inference<float> model(net);
  model(Random(2).normal<float>(x));
  std::sort(seen.rbegin(), seen.rend());
  return seen;
}

TEST(InferenceParts, AreOfASizeThatFitsTheCache) {
  using ::testing::ElementsAre;
  EXPECT_EQ(parts_of(plain(), {64, 3, 32, 32}), std::vector<std::size_t>(8, 8));
  EXPECT_THAT(parts_of(plain(), {37, 3, 32, 32}), ElementsAre(10, 10, 10, 7));  // four of nearly one size
  EXPECT_THAT(parts_of(plain(), {15, 3, 32, 32}), ElementsAre(15));
  EXPECT_THAT(parts_of(plain(), {64, 3, 8, 8}), ElementsAre(64));
  EXPECT_EQ(parts_of(plain(), {64, 3, 128, 128}), std::vector<std::size_t>(8, 8));
  const Sequential<float> linear{Linear<float>{100, 100}};
  EXPECT_THAT(parts_of(linear, {2000, 100}), ElementsAre(2000));
  EXPECT_THAT(parts_of(linear, {4000, 100}), ElementsAre(1334, 1334, 1332));
}

TEST(InferenceParts, SequentialGivesWhatForwardGives) {
  Sequential<float> net = plain();
  learn_statistics(net);
  for (const std::size_t count : {1, 16, 37, 64}) {
    const auto x = images(count);
    const Tensor<float> y = Inference<float>(net)(x);
    EXPECT_TRUE(near(y, net.forward(x), 1e-5)) << count;
  }
}

// One image has smaller tiles in Winograd's convolution, which need a part of the filters' frequencies.
TEST(InferenceParts, OneImageBetweenManyAndManyAfterOneGiveWhatForwardGives) {
  Sequential<float> net{Conv2D<float>{16, 16, 3, {.padding = 1}}};
  const Inference<float> model(net);
  Random random(7);
  for (const std::size_t count : {1, 20, 1, 20}) {
    const auto x = random.normal<float>({count, 16, 8, 8});
    EXPECT_TRUE(near(model(x), net.forward(x), 1e-5)) << count;
  }
}

TEST(InferenceParts, GraphGivesWhatForwardGives) {
  Graph<float> net = residual();
  learn_statistics(net);
  const auto x = images(37);
  EXPECT_TRUE(near(Inference<float>(net)(x), net.forward(x), 1e-5));
}

TEST(InferenceParts, APartIsComputedAsABatchOfItsSize) {
  Sequential<float> net = plain();
  learn_statistics(net);
  const auto x = images(37);
  const Inference<float> model(net);
  const Tensor<float> y = model(x);
  for (const Index begin : {0, 10, 20, 30}) {
    const Index end = std::min<Index>(37, begin + 10);
    EXPECT_TRUE(same_bits(model(samples(x, begin, end)), samples(y, begin, end))) << begin;
  }
}

TEST(InferenceParts, HaveTheSameBitsWithAnyNumberOfThreads) {
  Graph<float> net = residual();
  learn_statistics(net);
  const auto x = images(50);
  const int before = num_threads();
  set_num_threads(1);
  const Inference<float> model(net);
  const Tensor<float> y = model(x);
  for (const int threads : {2, 3, 5, 8}) {
    set_num_threads(threads);
    EXPECT_TRUE(same_bits(model(x), y)) << threads;
  }
  set_num_threads(before);
}

TEST(InferenceParts, ALayerThatDoesNotAllowItSeesTheWholeBatch) {
  std::vector<std::size_t> seen;
  Sequential<float> net = plain();
  net.add(Sequential<float>{Witness(seen, /*per_sample=*/false)});
  Inference<float>{net}(images(64));
  EXPECT_THAT(seen, ::testing::ElementsAre(64));

  Graph<float> graph;
  graph.input("x").add("net", net, "x").output("net");
  Inference<float>{graph}(images(64));
  EXPECT_THAT(seen, ::testing::ElementsAre(64, 64));
}

TEST(InferenceParts, StatisticsOfTheBatchNeedTheWholeBatch) {
  Sequential<float> net = plain(/*track=*/false);
  EXPECT_FALSE(net.is_per_sample());
  net.eval();
  const auto x = images(64);
  EXPECT_TRUE(near(Inference<float>(net)(x), net.forward(x), 1e-5));
}

TEST(InferenceParts, FiniteChecksSeeEveryLayer) {
  Sequential<float> net = plain();
  net.eval();
  auto x = images(64);
  x(50, 0, 0, 0) = NAN;
  const FiniteChecks checks;
  EXPECT_THROW(Inference<float>{net}(x), NotFiniteError);
}

TEST(InferenceParts, AWrongShapeIsRefusedAsBefore) {
  const Inference<float> model(plain());
  EXPECT_THROW(model(Random(1).normal<float>({64, 4, 32, 32})), ShapeError);
  EXPECT_THROW(model(Tensor<float>()), ShapeError);
}

}  // namespace
}  // namespace strata
