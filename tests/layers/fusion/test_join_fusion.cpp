// Graphs whose joins are fused with their neighbors, against the same graphs run node by node.
#include <functional>

#include <gtest/gtest.h>

#include "tests/framework/kernels_only.hpp"
#include "tests/layers/layer_checks.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using testing::for_each_instruction_set;
using testing::max_error;
using testing::pick;
using testing::same_bits;
using testing::some;
using testing::widen;

/// Restores the switches.
class JoinFusion : public ::testing::Test {
 protected:
  JoinFusion() { set_fusion(true); }
  ~JoinFusion() override {
    set_fusion(fusion_);
    set_num_threads(threads_);
  }

 private:
  KernelsOnly kernels_only_;
  bool fusion_ = fusion();
  int threads_ = num_threads();
};

template <class T>
using Tensors = std::vector<Tensor<T>>;

template <class T>
std::unique_ptr<Layer<T>> random_norm(Random& random, Index channels) {
  const bool affine = random.below(4) != 0;
  switch (random.below(5)) {
    case 0:
      return std::make_unique<InstanceNorm2D<T>>(
          channels, InstanceNormOptions{.affine = affine, .track_running_stats = random.below(2) == 0});
    case 1:
      return std::make_unique<GroupNorm<T>>(1, channels, GroupNormOptions{.affine = affine});
    default:
      return std::make_unique<SpatialBatchNorm<T>>(
          channels, BatchNormOptions{.affine = affine, .track_running_stats = random.below(4) != 0});
  }
}

// A convolution that keeps the image's size.
template <class T>
Conv2D<T> same_size(Random& random, Index in, Index out) {
  const Index half = static_cast<Index>(random.below(2));
  return Conv2D<T>{in, out, 2 * half + 1, {.padding = half, .bias = random.below(2) == 0}};
}

template <class T>
Graph<T> random_graph(Random& random, Index channels, Index inputs, Index nodes, bool nested);

template <class T>
std::unique_ptr<Layer<T>> random_layer(Random& random, Index channels, bool nested) {
  switch (random.below(nested ? 8 : 7)) {
    case 0:
    case 1:
      return std::make_unique<Conv2D<T>>(same_size<T>(random, channels, channels));
    case 2:
    case 3:
      return random_norm<T>(random, channels);
    case 4:
    case 5:
      return std::make_unique<ReLU<T>>();
    case 6:
      return std::make_unique<LeakyReLU<T>>(0.1);
    default: {
      auto chain = std::make_unique<Sequential<T>>();
      Graph<T> inner = random_graph<T>(random, channels, 1, 5, false);
      chain->add("graph", std::move(inner));
      if (random.below(2)) chain->add("relu", ReLU<T>{});
      return chain;
    }
  }
}

// All values have one shape. Nodes that nothing takes are added up to one output; others may be outputs too.
// Nodes are declared in random order.
template <class T>
Graph<T> random_graph(Random& random, Index channels, Index inputs, Index nodes, bool nested) {
  std::vector<std::string> names;
  std::vector<bool> used;
  Graph<T> graph;
  std::vector<std::function<void()>> declarations;
  const auto add_value = [&](const std::string& name) {
    names.push_back(name);
    used.push_back(false);
  };
  // Mostly of the last few: chains and blocks rather than stars.
  const auto any = [&] {
    const auto count = static_cast<Index>(names.size()), back = std::min<Index>(count, pick(random, 1, 4));
    const auto i = static_cast<std::size_t>(count - pick(random, 1, back));
    used[i] = true;
    return names[i];
  };
  const auto add_layer = [&](const std::string& name, std::shared_ptr<Layer<T>> layer,
                             const std::string& from) {
    declarations.push_back([=, &graph] { graph.add(name, layer->clone(), from); });
    add_value(name);
  };
  for (Index i = 0; i < inputs; ++i) {
    add_value("x" + std::to_string(i));
    graph.input(names.back());
  }
  for (Index i = 0; i < nodes; ++i) {
    const std::string name = "node" + std::to_string(i);
    const auto kind = random.below(10);
    if (kind < 3) {
      std::vector<std::string> from;
      for (Index k = random.below(4) ? 2 : pick(random, 1, 4); k > 0; --k) from.push_back(any());
      declarations.push_back([=, &graph] { graph.join(name, Add<T>{}, from); });
      add_value(name);
    } else if (kind == 3) {
      const std::string a = any(), b = any();
      declarations.push_back([=, &graph] { graph.join(name + ".both", Concat<T>{}, {a, b}); });
      add_layer(name, std::make_shared<Conv2D<T>>(same_size<T>(random, 2 * channels, channels)),
                name + ".both");
    } else {
      const std::string from = any();
      add_layer(name, random_layer<T>(random, channels, nested), from);
    }
  }
  std::vector<std::string> open;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (!used[i]) open.push_back(names[i]);
  declarations.push_back([=, &graph] { graph.join("open", Add<T>{}, open); });
  for (const Index i : random.permutation(static_cast<Index>(declarations.size()))) declarations[i]();
  graph.output("open");
  if (nested)
    for (const std::string& extra : names)
      if (random.below(12) == 0) graph.output(extra);
  return graph;
}

template <class T>
struct Problem {
  Graph<T> graph;
  std::vector<Shape> inputs;
};

template <class T>
Problem<T> random_problem(Random& random, Index max_image = 12) {
  const Index channels = pick(random, 1, 9);
  const auto side = [&] {
    return random.below(2) ? std::size_t{8} : static_cast<std::size_t>(pick(random, 2, max_image));
  };
  const Shape shape{static_cast<std::size_t>(pick(random, 2, 4)), static_cast<std::size_t>(channels), side(),
                    side()};
  const Index inputs = pick(random, 1, 2);
  Problem<T> problem{random_graph<T>(random, channels, inputs, pick(random, 2, 14), true),
                     std::vector<Shape>(static_cast<std::size_t>(inputs), shape)};
  for (Parameter<T>* parameter : problem.graph.parameters())
    parameter->value = parameter->value + random.normal<T>(parameter->value.shape()) * T(0.2);
  return problem;
}

template <class T>
Tensors<T> draw(const std::vector<Shape>& shapes, Random& random) {
  Tensors<T> tensors;
  for (const Shape& shape : shapes) tensors.push_back(random.normal<T>(shape));
  return tensors;
}

template <class T>
Tensors<T> parameter_gradients(Graph<T>& graph) {
  Tensors<T> gradients;
  for (Parameter<T>* parameter : graph.parameters()) gradients.push_back(parameter->gradient);
  return gradients;
}

template <class T>
void expect_near(const Tensors<T>& a, const Tensors<T>& b, double tolerance, const char* what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_LT(max_error(a[i], widen(b[i]), 1), tolerance) << what << " " << i;
}

template <class T>
void check_random_graphs(std::uint64_t graphs, double tolerance) {
  for (std::uint64_t seed = 0; seed < graphs; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Problem<T> problem = random_problem<T>(random);
    Graph<T>& fused = problem.graph;
    for (const bool training : {true, false}) {
      fused.train(training);
      Graph<T> plain = fused;
      const auto x = draw<T>(problem.inputs, random);
      const auto dy = draw<T>(fused.output_shapes(problem.inputs), random);
      set_fusion(true);
      const auto y = fused.forward(x);
      set_fusion(false);
      expect_near(y, plain.forward(x), tolerance, "y");
      // The way back is that of forward, whatever the switch says now.
      const auto dx = fused.backward(dy);
      set_fusion(true);
      expect_near(dx, plain.backward(dy), tolerance, "dx");
      expect_near(parameter_gradients(fused), parameter_gradients(plain), tolerance, "gradient");

      fused.forward(x);
      fused.backward_parameters(dy);
      expect_near(parameter_gradients(fused), parameter_gradients(plain), tolerance, "parameters' gradient");
      const Inference<T> model(fused);
      expect_near(model(x), fused.infer(x), tolerance, "infer");
    }
    if (::testing::Test::HasFailure()) return;
  }
}

TEST_F(JoinFusion, OfRandomGraphsComputesTheSameInDouble) {
  for_each_instruction_set([] { check_random_graphs<double>(some(300), 1e-11); });
}

TEST_F(JoinFusion, OfRandomGraphsComputesTheSameInFloat) {
  for_each_instruction_set([] { check_random_graphs<float>(some(300), 2e-4); });
}

TEST_F(JoinFusion, OfRandomGraphsHasTheRightGradients) {
  for (std::uint64_t seed = 0; seed < some(25u); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const Problem<double> problem = random_problem<double>(random, 5);
    const GradientReport report = check_gradients(problem.graph, draw<double>(problem.inputs, random),
                                                  {.max_elements = 8, .seed = seed});
    EXPECT_TRUE(report.passed()) << report;
  }
}

/// Residual blocks, many of whose values may be of pixels. Rounding turns no ReLU: the norms' biases keep
/// every even channel above 0 and every odd one below.
struct ResidualNetwork {
  Graph<float> net;
  Shape input;

  explicit ResidualNetwork(Random& random) {
    const auto any_channels = [&] {
      return random.below(4) != 0 ? 16 * pick(random, 1, 2) : pick(random, 2, 20);
    };
    const auto batch = static_cast<std::size_t>(pick(random, 8, 24));
    input = {batch, 3, static_cast<std::size_t>(pick(random, 6, 12)),
             static_cast<std::size_t>(pick(random, 6, 12))};
    net.input("x");
    Index channels = any_channels();
    std::string last = add_unit("stem", 3, channels, 3, 1, random.below(4) != 0, "x");
    for (Index block = pick(random, 1, 3); block-- > 0;) {
      const std::string name = "block" + std::to_string(block);
      const bool same = random.below(2) == 0;
      const Index out = same ? channels : any_channels(), stride = same ? 1 : pick(random, 1, 2);
      const Index kernel = random.below(3) == 0 ? 1 : 3;
      const std::string first = add_unit(name + ".1", channels, out, kernel, stride, true, last);
      std::vector<std::string> terms{add_unit(name + ".2", out, out, 3, 1, false, first)};
      terms.push_back(same ? last : add_unit(name + ".shortcut", channels, out, 1, stride, false, last));
      if (random.below(6) == 0) terms.push_back(terms[0]);
      net.join(name, Add<float>{}, terms);
      if (random.below(5) == 0) net.output(last);
      last = name;
      if (random.below(4) != 0) net.add(last += ".relu", ReLU<float>{}, name);
      channels = out;
    }
    if (random.below(2) == 0) net.add("pool", GlobalAvgPool2D<float>{}, std::exchange(last, "pool"));
    net.output(last);
    net.initialize(random.below(1000));
    for (const auto& [name, parameter] : net.named_parameters())
      if (name.ends_with("norm.bias"))
        for (std::size_t c = 0; c < parameter->value.size(); ++c)
          parameter->value(c) = c % 2 ? -10.0f : 10.0f;
  }

  std::string add_unit(const std::string& name, Index in, Index out, Index kernel, Index stride, bool rectify,
                       const std::string& from) {
    net.add(name + ".conv",
            Conv2D<float>{in, out, kernel, {.stride = stride, .padding = kernel / 2, .bias = false}}, from);
    net.add(name + ".norm", SpatialBatchNorm<float>{out}, name + ".conv");
    if (rectify) net.add(name + ".relu", ReLU<float>{}, name + ".norm");
    return name + (rectify ? ".relu" : ".norm");
  }
};

TEST_F(JoinFusion, OfResidualNetworksComputesTheSame) {
  for (std::uint64_t seed = 0; seed < some(150u); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    ResidualNetwork problem(random);
    Graph<float>& fused = problem.net;
    Graph<float> plain = fused;
    const auto x = draw<float>({problem.input}, random);
    const auto dy = draw<float>(fused.output_shapes({problem.input}), random);
    set_fusion(false);
    const auto expected = plain.forward(x), expected_dx = plain.backward(dy);
    set_fusion(true);
    for_each_instruction_set([&] {
      expect_near(fused.forward(x), expected, 1e-4, "y");
      expect_near(fused.backward(dy), expected_dx, 1e-4, "dx");
      // Sums over inputs whose mean is ten times their spread.
      expect_near(parameter_gradients(fused), parameter_gradients(plain), 5e-4, "gradient");
      expect_near(Inference<float>(fused)(x), fused.infer(x), 1e-4, "inferred");
    });
    if (HasFailure()) {
      ADD_FAILURE() << summary(fused, problem.input);
      return;
    }
  }
}

// relu(norm(conv(relu(x))) + relu(x)), then the same again with a convolution on both sides.
template <class T>
Graph<T> residual() {
  Graph<T> net;
  net.input("x")
      .add("stem", ReLU<T>{}, "x")
      .add("conv1", Conv2D<T>{16, 16, 3, {.padding = 1, .bias = false}}, "stem")
      .add("norm1", SpatialBatchNorm<T>{16}, "conv1")
      .join("sum1", Add<T>{}, {"norm1", "stem"})
      .add("relu1", ReLU<T>{}, "sum1")
      .add("conv2", Conv2D<T>{16, 32, 3, {.stride = 2, .padding = 1, .bias = false}}, "relu1")
      .add("norm2", SpatialBatchNorm<T>{32}, "conv2")
      .add("shortcut", Conv2D<T>{16, 32, 1, {.stride = 2, .bias = false}}, "relu1")
      .add("shortcut.norm", SpatialBatchNorm<T>{32}, "shortcut")
      .join("sum2", Add<T>{}, {"norm2", "shortcut.norm"})
      .add("relu2", ReLU<T>{}, "sum2")
      .output("relu2");
  net.initialize(3);
  return net;
}

TEST_F(JoinFusion, GivesTheSameBitsWithAnyNumberOfThreads) {
  const Graph<float> net = residual<float>();
  const auto x = Random(1).normal<float>({16, 16, 32, 32}), dy = Random(2).normal<float>({16, 32, 16, 16});
  const auto run = [&](int threads) {
    set_num_threads(threads);
    Graph<float> copy = net;
    Tensors<float> results{copy.forward(x), copy.backward(dy), Inference<float>(copy)(x)};
    for (auto& gradient : parameter_gradients(copy)) results.push_back(gradient);
    return results;
  };
  const auto expected = run(1);
  for (const int threads : {2, 3, 5}) {
    const auto results = run(threads);
    for (std::size_t i = 0; i < results.size(); ++i) EXPECT_TRUE(same_bits(results[i], expected[i])) << i;
  }
}

TEST_F(JoinFusion, LeavesWhatTheCallerHolds) {
  Graph<double> net;
  net.input("x").join("twice", Add<double>{}, {"x", "x"}).add("relu", ReLU<double>{}, "twice");
  net.output("x").output("relu").output("twice");
  const Tensor<double> x{{-1, 2}}, dy{{1, 10}};
  const auto y = net.forward(Tensors<double>{x});
  EXPECT_EQ(y[0], x);
  EXPECT_EQ(y[1], (Tensor<double>{{0, 4}}));
  EXPECT_EQ(y[2], (Tensor<double>{{-2, 4}}));
  EXPECT_EQ(net.backward(Tensors<double>{dy, dy, dy})[0], (Tensor<double>{{3, 50}}));
  EXPECT_EQ(net.infer(Tensors<double>{x}), y);
  EXPECT_EQ(dy, (Tensor<double>{{1, 10}}));
}

TEST_F(JoinFusion, TakesWhatIsBehindItsOwnJoinAlone) {
  Graph<double> net;
  net.add("relu", ReLU<double>{}, "first")  // the node of number 0, behind the first of two sums
      .input("x")
      .join("first", Add<double>{}, {"x", "x"})
      .join("second", Add<double>{}, {"relu", "x"})
      .output("second");
  EXPECT_EQ(net.forward(Tensor<double>{{-1, 2}}), (Tensor<double>{{-1, 6}}));
  EXPECT_EQ(net.backward(Tensor<double>{{1, 10}}), (Tensor<double>{{1, 30}}));
}

TEST_F(JoinFusion, LeavesAloneWhatAProgramDerived) {
  struct Twice final : LeakyReLU<double> {
    std::unique_ptr<Layer> clone() const override { return std::make_unique<Twice>(*this); }
    Tensor<double> do_forward(Tensor<double> x, Record&) override { return x * 2; }
    Tensor<double> do_backward(Tensor<double> dy, Record&) override { return dy * 2; }
    Tensor<double> do_infer(Tensor<double> x) const override { return x * 2; }
  };
  Graph<double> net;
  net.input("x").join("sum", Add<double>{}, {"x", "x"}).add("twice", Twice{}, "sum").output("twice");
  const Tensor<double> x{{-1, 2}};
  EXPECT_EQ(net.forward(x), (Tensor<double>{{-4, 8}}));
  EXPECT_EQ(net.backward(x), (Tensor<double>{{-4, 8}}));
  EXPECT_EQ(net.infer(x), (Tensor<double>{{-4, 8}}));
}

TEST_F(JoinFusion, KeepsOneValueForAllThatReadIt) {
  constexpr std::size_t kBytes = std::size_t{4} * 8 * 64 * 64 * sizeof(float);
  Graph<float> net;
  net.input("x")
      .add("a", Conv2D<float>{8, 8, 3, {.padding = 1}}, "x")
      .add("b", Conv2D<float>{8, 8, 1}, "x")
      .join("sum", Add<float>{}, {"a", "b", "x"})
      .output("sum");
  const auto x = Random(1).normal<float>({4, 8, 64, 64});
  const auto in_use = [&](bool on) {
    set_fusion(on);
    const std::size_t before = memory_statistics().in_use;
    auto y = net.forward(x);
    const std::size_t after = memory_statistics().in_use;
    net.backward(std::move(y));
    EXPECT_LT(memory_statistics().in_use, before + kBytes / 8);
    return after - before;
  };
  EXPECT_LT(in_use(true), 2 * kBytes + kBytes / 8);  // x and y
  EXPECT_GE(in_use(false), 3 * kBytes);
}

TEST_F(JoinFusion, StepsAsideWhereEveryLayerIsToBeChecked) {
  Graph<double> net = residual<double>();
  dynamic_cast<SpatialBatchNorm<double>&>(net.find("norm2")).weight().value(0) = NAN;
  const FiniteChecks checks;
  EXPECT_THAT(
      [&] {
        net.forward(Random(1).normal<double>({2, 16, 8, 8}));
      },
      ::testing::ThrowsMessage<NotFiniteError>(::testing::HasSubstr("SpatialBatchNorm 'norm2'")));
}

}  // namespace
}  // namespace strata
