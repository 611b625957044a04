// Runs of convolutions and batch norms against the same layers one by one.
#include "strata/framework/graph/step.hpp"
#include "strata/layers/kernels/convolution/convolution.hpp"
#include "tests/layers/fusion/fusion_checks.hpp"
#include "tests/layers/kernels/image_layouts.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using testing::as_planes;
using testing::away_from_kinks;
using testing::expect_as_exact;
using testing::expect_same_step;
using testing::for_each_instruction_set;
using testing::gradients;
using testing::in_layout;
using testing::max_error;
using testing::pick;
using testing::run_plain;
using testing::run_step;
using testing::same_bits;
using testing::some;
using testing::Twins;
using testing::widen;

using ConvolutionRuns = testing::FusionTest;

/// Images that fit blocks of whole images, mostly, and convolutions of all kinds.
template <class T>
struct RandomRun {
  Sequential<T> net;
  Shape input;
  bool wide;

  /// `wide`: as where images may be of pixels.
  explicit RandomRun(Random& random, bool wide_ = false) : wide(wide_) {
    input = {static_cast<std::size_t>(pick(random, 2, 24)), static_cast<std::size_t>(pick(random, 1, 20)),
             static_cast<std::size_t>(pick(random, 4, 12)), static_cast<std::size_t>(pick(random, 4, 12))};
    if (wide) input[1] = 16 * static_cast<std::size_t>(pick(random, 1, 2));
    auto channels = static_cast<Index>(input[1]);
    for (Index units = pick(random, 1, 3); units-- > 0;) channels = add_unit(random, channels);
    if (random.below(3) == 0) add_convolution(random, channels);
    net.initialize(random.below(1000));
    for (Parameter<T>* parameter : net.parameters())
      parameter->value = parameter->value + random.normal<T>(parameter->value.shape()) * T(0.3);
  }

  Index add_convolution(Random& random, Index in) {
    const Index out = random.below(2) == 0 || wide ? 16 * pick(random, 1, 2) : pick(random, 1, 20);
    const Shape x = net.output_shape(input);
    const bool small = std::min(x[2], x[3]) < 5;
    const Index kernel = small || random.below(6) == 0 ? 1 : random.below(6) == 0 ? 5 : 3;
    net.add(Conv2D<T>{in,
                      out,
                      kernel,
                      {.stride = random.below(6) == 0 ? 2 : 1,
                       .padding = random.below(6) == 0 ? 0 : kernel / 2,
                       .bias = random.below(4) == 0 && !wide}});
    return out;
  }

  Index add_unit(Random& random, Index in) {
    const Index out = add_convolution(random, in);
    // With a smaller eps a channel that hardly varies makes gradients so large that their rounding shows.
    net.add(SpatialBatchNorm<T>{out, {.eps = 0.1, .affine = random.below(4) != 0}});
    if (random.below(6) != 0) net.add(ReLU<T>{});
    if (random.below(3) == 0) net.add(MaxPool2D<T>{2, {.stride = pick(random, 1, 2), .padding = 1}});
    return out;
  }
};

/// Three steps each, of which `most_skipped` may be too near a kink.
template <class T>
void check_random_runs(std::uint64_t runs, std::uint64_t most_skipped) {
  std::uint64_t skipped = 0;
  for (std::uint64_t seed = 0; seed < runs; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed), again = random;
    const RandomRun<T> run(random);
    Twins<T> twins(run.net, RandomRun<double>(again).net);
    for (int step = 0; step < 2; ++step) skipped += !expect_same_step(twins, run.input, random);
    twins.for_each([](auto& net) { net.eval(); });
    skipped += !expect_same_step(twins, run.input, random);
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << summary(run.net, run.input);
      return;
    }
  }
  EXPECT_LE(skipped, most_skipped);
}

TEST_F(ConvolutionRuns, ComputesTheSameInDouble) {
  check_random_runs<double>(some(60), 1);
}

TEST_F(ConvolutionRuns, ComputesTheSameInFloat) {
  check_random_runs<float>(some(300), 9);
}

// The layouts at both ends, which a Graph chooses.
TEST_F(ConvolutionRuns, TakesAndGivesPixels) {
  int takes = 0, gives = 0, takes_in_inference = 0, gives_in_inference = 0, skipped = 0;
  for (std::uint64_t seed = 0; seed < some(300u); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed), again = random;
    const RandomRun<float> run(random, /*wide=*/true);
    Twins<float> twins(run.net, RandomRun<double>(again, /*wide=*/true).net);
    const auto x = away_from_kinks(twins, run.input, random);
    skipped += !x;
    if (!x) continue;
    const auto dy = random.normal<float>(twins.exact.output_shape(x->shape()));
    const auto exact = run_step(twins.exact, false, widen(*x), widen(dy));
    const auto plain = run_plain(twins, *x, dy);
    for_each_instruction_set([&] {
      Sequential<float>& net = twins.fused.at(instruction_set());
      FlatNetwork<float> network = net.flat();
      network.set_shapes({x->shape()});
      std::vector<const Node<float>*> nodes;
      for (const Node<float>& node : network.nodes) nodes.push_back(&node);
      // Any layouts that the step allows, which it is to use.
      const auto choose = [&](Step& step) {
        const auto any = [&](bool pixels) {
          return pixels && random.below(4) != 0 ? ImageLayout::pixels : ImageLayout::planes;
        };
        const Step::Pixels may = step.pixels();
        const ImageLayouts layouts{any(may.x), any(may.y)};
        step.settle(layouts);
        return layouts;
      };
      if (const auto step = fuse_training<float>(nodes); step->size() == nodes.size()) {
        const ImageLayouts layouts = choose(*step);
        takes += layouts.x == ImageLayout::pixels;
        gives += layouts.y == ImageLayout::pixels;
        Record record;
        const auto y = step->forward({in_layout(*x, layouts.x)}, record);
        const auto dx = step->backward({in_layout(dy, layouts.y)}, record, /*wants_dx=*/true);
        auto results = gradients(net);
        results["y"] = as_planes(y, layouts.y);
        results["dx"] = as_planes(*dx[0], layouts.x);
        expect_as_exact(results, plain, exact);
      }

      Prepared prepared;
      const auto step = fuse_inference<float>(nodes, 0, prepared);
      const ImageLayouts layouts = choose(*step);
      takes_in_inference += layouts.x == ImageLayout::pixels;
      gives_in_inference += layouts.y == ImageLayout::pixels;
      const auto inferred = step->infer({in_layout(*x, layouts.x)});
      Tensor<float> expected = *x;
      for (std::size_t i = 0; i < step->size(); ++i) expected = nodes[i]->layer->infer(expected);
      EXPECT_LE(max_error(as_planes(inferred, layouts.y), widen(expected), 1), 1e-4);
    });
    if (HasFailure()) return;
  }
  EXPECT_GT(takes, some(100));
  EXPECT_GT(gives, some(100));
  EXPECT_GT(takes_in_inference, some(100));
  EXPECT_GT(gives_in_inference, some(100));
  EXPECT_LE(skipped, 3);
}

/// Units that stream and some that do not, and results of both layouts, also where they are pooled.
template <class T>
Sequential<T> mixed_run() {
  const Conv2DOptions same{.padding = 1, .bias = false};
  return Sequential<T>{Conv2D<T>{3, 32, 3, {.stride = 2, .padding = 1, .bias = false}},
                       SpatialBatchNorm<T>{32},
                       ReLU<T>{},
                       Conv2D<T>{32, 20, 3, same},
                       SpatialBatchNorm<T>{20},
                       ReLU<T>{},
                       Conv2D<T>{20, 33, 3, same},
                       SpatialBatchNorm<T>{33},
                       ReLU<T>{},
                       MaxPool2D<T>{2},
                       Conv2D<T>{33, 48, 3, same},
                       SpatialBatchNorm<T>{48},
                       ReLU<T>{},
                       Conv2D<T>{48, 32, 3, same},
                       SpatialBatchNorm<T>{32},
                       ReLU<T>{},
                       MaxPool2D<T>{2, {.stride = 1}},
                       Conv2D<T>{32, 16, 3, same},
                       SpatialBatchNorm<T>{16},
                       ReLU<T>{},
                       MaxPool2D<T>{2, {.stride = 1, .padding = 1}},
                       Conv2D<T>{16, 8, 1, {.bias = false}},
                       SpatialBatchNorm<T>{8}};
}
const Shape kMixedInput{40, 3, 25, 27};
const Shape kFewMixed{6, 3, 25, 27};  // few enough to be away from kinks

TEST_F(ConvolutionRuns, StreamsWhereImagesAreSmall) {
  const auto streams = [](const Shape& x, Index out) {
    const Size2D size(static_cast<Index>(x[2]), static_cast<Index>(x[3]));
    return kernels::image_abilities<float>(
               {static_cast<Index>(x[0]), static_cast<Index>(x[1]), size, out, size, 3, 1, 1, 1, 1, true})
        .streams;
  };
  EXPECT_TRUE(streams({64, 32, 32, 32}, 32));
  EXPECT_TRUE(streams({40, 32, 13, 14}, 20));
  EXPECT_TRUE(streams({40, 33, 6, 7}, 48));
  EXPECT_FALSE(streams({4, 32, 96, 96}, 32));
  EXPECT_FALSE(streams({1, 32, 32, 32}, 32));
}

/// run(net, x, dy): forward and backward of the fused network.
template <class Run>
void expect_same_gradients_of_mixed_run(const Run& run) {
  Sequential<float> net = mixed_run<float>();
  net.initialize(1);
  for (const auto& [name, parameter] : net.named_parameters())
    if (parameter->name == "bias") parameter->value.fill(1.5F);  // few values of ReLUs are near 0
  Twins<float> twins(net, mixed_run<double>());
  Random random(1);
  const auto x = away_from_kinks(twins, kFewMixed, random);
  ASSERT_TRUE(x);
  const auto dy = random.normal<float>(twins.exact.output_shape(x->shape()));
  const auto exact = run_step(twins.exact, false, widen(*x), widen(dy));
  const auto plain = run_plain(twins, *x, dy);
  Sequential<float>& fused = twins.fused.at(instruction_set());
  set_fusion(true);
  run(fused, *x, dy);
  expect_as_exact(gradients(fused), plain, exact);
}

TEST_F(ConvolutionRuns, GivesParametersTheSameGradientsWithoutDx) {
  expect_same_gradients_of_mixed_run([](auto& net, const auto& x, const auto& dy) {
    net.forward(x);
    net.backward_parameters(dy);
  });
}

TEST_F(ConvolutionRuns, GivesTheSameBitsWithAnyNumberOfThreads) {
  const Sequential<float> net = mixed_run<float>();
  const auto x = Random(1).normal<float>(kMixedInput);
  const auto dy = Random(2).normal<float>(net.output_shape(kMixedInput));
  const int before = num_threads();
  set_fusion(true);
  const auto run = [&](int threads) {
    set_num_threads(threads);
    Sequential<float> copy = net;
    std::vector<Tensor<float>> results{copy.forward(x), copy.backward(dy)};
    for (Parameter<float>* parameter : copy.parameters()) results.push_back(parameter->gradient);
    for (const auto& buffer : copy.named_buffers())
      if (const auto* tensor = std::get_if<Tensor<float>*>(&buffer.value)) results.push_back(**tensor);
    return results;
  };
  const auto expected = run(1);
  for (const int threads : {2, 3, 5}) {
    const auto results = run(threads);
    for (std::size_t i = 0; i < results.size(); ++i) EXPECT_TRUE(same_bits(results[i], expected[i])) << i;
  }
  set_num_threads(before);
}

// What was computed as it was read with one instruction set can be computed again with another.
TEST_F(ConvolutionRuns, GoesBackByAnotherInstructionSet) {
  if (!is_available(InstructionSet::avx2)) return;
  expect_same_gradients_of_mixed_run([](auto& net, const auto& x, const auto& dy) {
    const InstructionSet before = instruction_set();
    set_instruction_set(InstructionSet::avx2);
    net.forward(x);
    set_instruction_set(InstructionSet::generic);
    net.backward(dy);
    set_instruction_set(before);
  });
}

// The normalized values are computed again rather than kept.
TEST_F(ConvolutionRuns, KeepsLessThanItsLayersOneByOne) {
  const auto kept = [](bool on) {
    set_fusion(on);
    Sequential<float> net = mixed_run<float>();
    const std::size_t before = memory_statistics().in_use;
    net.forward(Random(1).normal<float>(kMixedInput));
    return memory_statistics().in_use - before;
  };
  const std::size_t normalized = 40 * 20 * 13 * 14 * sizeof(float);  // of the unit between two that stream
  EXPECT_LT(kept(true) + normalized, kept(false));
}

TEST_F(ConvolutionRuns, RefusesASingleValuePerChannelAndTrainsOn) {
  Sequential<float> net{Conv2D<float>{2, 3, 3, {.bias = false}}, SpatialBatchNorm<float>{3}, ReLU<float>{}};
  set_fusion(true);
  EXPECT_THAT(
      [&] {
        net.forward(Random(1).normal<float>({1, 2, 3, 3}));
      },
      ::testing::ThrowsMessage<ShapeError>(::testing::HasSubstr("SpatialBatchNorm '1'")));
  const auto y = net.forward(Random(1).normal<float>({4, 2, 3, 3}));
  EXPECT_EQ(net.backward(y).shape(), (Shape{4, 2, 3, 3}));
}

}  // namespace
}  // namespace strata
