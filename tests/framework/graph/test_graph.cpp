#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/graph/graph.hpp"
#include "strata/strata.hpp"
#include "tests/framework/kernels_only.hpp"

namespace strata {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

template <class T>
Tensor<T> some(const Shape& shape, std::uint64_t seed = 1) {
  return Random(seed).normal<T>(shape);
}

template <class T>
Sequential<T> chain() {
  Sequential<T> net;
  net.add("a", Linear<T>{5, 7})
      .add("relu", ReLU<T>{})
      .add("b.inner", Linear<T>{7, 7})
      .add("c", Linear<T>{7, 3});
  net.initialize(4);
  return net;
}

// The same layers under the same names, declared from the end.
template <class T>
Graph<T> chain_as_graph() {
  Graph<T> net;
  net.output("c")
      .add("c", Linear<T>{7, 3}, "b.inner")
      .add("b.inner", Linear<T>{7, 7}, "relu")
      .add("relu", ReLU<T>{}, "a")
      .add("a", Linear<T>{5, 7}, "x")
      .input("x");
  net.initialize(4);
  return net;
}

// y = relu(x + b(relu(a(x)))), and the sum goes two ways.
Graph<double> residual() {
  Graph<double> net;
  net.input("x")
      .add("a", Linear<double>{4, 4}, "x")
      .add("a.relu", ReLU<double>{}, "a")
      .add("b", Linear<double>{4, 4}, "a.relu")
      .join("sum", Add<double>{}, {"b", "x"})
      .add("relu", ReLU<double>{}, "sum")
      .join("both", Concat<double>{}, {"relu", "sum"})
      .output("both");
  net.initialize(9);
  return net;
}

Graph<double> two_in_two_out() {
  Graph<double> net;
  net.input("image")
      .input("condition")
      .add("trunk", Linear<double>{6, 5}, "image")
      .add("embed", Linear<double>{2, 5}, "condition")
      .join("mixed", Add<double>{}, {"trunk", "embed", "trunk"})
      .add("head", Linear<double>{5, 3}, "mixed")
      .output("head")
      .output("mixed");
  net.initialize(2);
  return net;
}

template <class T>
class GraphOf : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(GraphOf, Reals);

TYPED_TEST(GraphOf, AChainEqualsTheSequentialBitForBit) {
  using T = TypeParam;
  Sequential<T> sequential = chain<T>();
  Graph<T> graph = chain_as_graph<T>();
  const auto x = some<T>({6, 5}), dy = some<T>({6, 3}, 2);
  EXPECT_EQ(graph.infer(x), sequential.infer(x));
  EXPECT_EQ(graph.forward(x), sequential.forward(x));
  EXPECT_EQ(graph.backward(dy), sequential.backward(dy));
  for (const auto& [name, parameter] : sequential.named_parameters()) {
    bool found = false;
    for (const auto& [other_name, other] : graph.named_parameters())
      if (other_name == name) {
        found = true;
        EXPECT_EQ(other->value, parameter->value) << name;
        EXPECT_EQ(other->gradient, parameter->gradient) << name;
      }
    EXPECT_TRUE(found) << name;
  }
  for (Parameter<T>* parameter : graph.parameters()) parameter->gradient.fill(0);
  graph.forward(x);
  graph.backward_parameters(dy);
  EXPECT_EQ(dynamic_cast<Linear<T>&>(graph.find("a")).weight().gradient,
            dynamic_cast<Linear<T>&>(sequential.find("a")).weight().gradient);
}

TEST(Graph, AddsTheGradientsOfAFanOut) {
  const GradientReport report = check_gradients(residual(), some<double>({3, 4}));
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_EQ(report.rows.size(), 10u);
}

TEST(Graph, ComputesWhatItsWiringSays) {
  Graph<double> net = residual();
  const auto x = some<double>({3, 4});
  Layer<double>&a = net.find("a"), &b = net.find("b");
  Tensor<double> sum = b.infer(ReLU<double>().infer(a.infer(x)));
  sum += x;
  const Tensor<double> relu = ReLU<double>().infer(sum);
  const Tensor<double> y = net.infer(x);
  ASSERT_EQ(y.shape(), (Shape{3, 8}));
  for (std::size_t n = 0; n < 3; ++n)
    for (std::size_t c = 0; c < 4; ++c) {
      EXPECT_EQ(y(n, c), relu(n, c));
      EXPECT_EQ(y(n, c + 4), sum(n, c));
    }
  net.eval();
  EXPECT_EQ(net.forward(x), y);
}

TEST(Graph, HasSeveralInputsAndOutputs) {
  Graph<double> net = two_in_two_out();
  const std::vector<Tensor<double>> x{some<double>({3, 6}), some<double>({3, 2}, 2)};
  const auto y = net.forward(x);
  ASSERT_EQ(y.size(), 2u);
  EXPECT_EQ(y[0].shape(), (Shape{3, 3}));
  EXPECT_EQ(y[1].shape(), (Shape{3, 5}));
  EXPECT_EQ(net.infer(x), y);
  EXPECT_EQ(net.output_shapes({{3, 6}, {3, 2}}), (std::vector<Shape>{{3, 3}, {3, 5}}));
  const GradientReport report = check_gradients(net, x);
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_EQ(report.rows[1].tensor, "input 1");
  EXPECT_EQ(report.rows.size(), 16u);
}

TEST(Graph, WithOneInputAndOneOutputServesBothWays) {
  const auto make = [] {
    Graph<double> net;
    net.input("x").add("only", Linear<double>{4, 3}, "x").output("only");
    net.initialize(1);
    return net;
  };
  Graph<double> several = make(), single = make();
  const auto x = some<double>({2, 4}), dy = some<double>({2, 3}, 5);
  EXPECT_EQ(several.forward(std::vector<Tensor<double>>{x}), std::vector<Tensor<double>>{single.forward(x)});
  EXPECT_EQ(several.backward(std::vector<Tensor<double>>{dy}),
            std::vector<Tensor<double>>{single.backward(dy)});
  several.forward(x);
  several.named_parameters()[0].second->gradient.fill(0);
  several.backward_parameters(std::vector<Tensor<double>>{dy});
  EXPECT_EQ(several.named_parameters()[0].second->gradient, single.named_parameters()[0].second->gradient);
}

TEST(Graph, MayHandAnInputThrough) {
  Graph<double> net;
  net.input("x").add("relu", ReLU<double>{}, "x").output("relu").output("x");
  const Tensor<double> x{{-1, 2}};
  const auto y = net.forward(std::vector<Tensor<double>>{x});
  EXPECT_EQ(y[0], (Tensor<double>{{0, 2}}));
  EXPECT_EQ(y[1], x);
  EXPECT_EQ(net.backward({Tensor<double>{{5, 5}}, Tensor<double>{{10, 20}}})[0], (Tensor<double>{{10, 25}}));
}

TEST(Graph, NestsInSequentialsAndGraphs) {
  Sequential<double> net;
  net.add("stem", Linear<double>{3, 4}).add("block", residual()).add("head", Linear<double>{8, 2});
  net.initialize(5);
  EXPECT_EQ(net.output_shape({2, 3}), (Shape{2, 2}));
  EXPECT_EQ(net.find("block.a.relu").label(), "ReLU 'block.a.relu'");
  EXPECT_EQ(net.named_parameters()[2].first, "block.a.weight");
  EXPECT_TRUE(check_gradients(net, some<double>({2, 3})).passed());

  Graph<double> outer;
  outer.input("x")
      .add("inner", std::move(net), "x")
      .add("last", Linear<double>{2, 2}, "inner")
      .output("last");
  EXPECT_EQ(outer.find("inner.block.b").path(), "inner.block.b");
  EXPECT_TRUE(check_gradients(outer, some<double>({2, 3})).passed());
}

TEST(Graph, NamesWithDotsAreFoundBesideTheirPrefix) {
  Graph<double> net;
  net.input("x")
      .add("layer1", Sequential<double>{Linear<double>{2, 2}}, "x")
      .add("layer1.0.conv1", Linear<double>{2, 2}, "layer1")
      .output("layer1.0.conv1");
  EXPECT_EQ(net.find("layer1.0.conv1").path(), "layer1.0.conv1");
  EXPECT_EQ(net.find("layer1.0").path(), "layer1.0");
  EXPECT_THAT([&] { net.find("layer1.1"); }, ThrowsMessage<GraphError>(HasSubstr("'layer1.1'")));
}

TEST(Graph, ReachesDownToItsLayers) {
  Graph<double> net = residual();
  net.eval();
  EXPECT_FALSE(net.find("b").training());
  net.freeze();
  EXPECT_FALSE(dynamic_cast<Linear<double>&>(net.find("a")).weight().trainable);
  EXPECT_EQ(net.parameter_count(), 40);
  EXPECT_EQ(net.trainable_parameter_count(), 0);
  EXPECT_EQ(net.multiply_adds({3, 4}), 2u * 3 * 4 * 4);
}

TEST(Graph, ACopyIsIndependent) {
  Graph<double> net = residual();
  const auto x = some<double>({3, 4});
  const Tensor<double> before = net.infer(x);
  const auto copy = net.clone();
  Graph<double> assigned;
  assigned = net;
  for (Parameter<double>* parameter : copy->parameters()) parameter->value.fill(0);
  for (Parameter<double>* parameter : assigned.parameters()) parameter->value.fill(0);
  EXPECT_EQ(net.infer(x), before);
  EXPECT_NE(copy->infer(x), before);

  net.forward(x);  // what forward remembers belongs to the call: a copy starts without
  const auto midway = net.clone();
  const auto dy = some<double>({3, 8}, 3);
  EXPECT_THROW(midway->backward(dy), StateError);
  EXPECT_EQ(net.backward(dy).shape(), x.shape());
}

TEST(Graph, InferServesManyThreads) {
  const Graph<double> net = residual();
  const auto x = some<double>({64, 4});
  const Tensor<double> expected = net.infer(x);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) wrong[t] += net.infer(x) != expected;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

// Counts what passes, to see who gets memory and who gets a copy.
class Probe final : public Layer<float> {
 public:
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Probe>(*this); }
  std::string type() const override { return "Probe"; }
  const float* seen = nullptr;
  int backwards = 0;

 protected:
  Tensor<float> do_forward(Tensor<float> x, Record&) override {
    seen = x.data();
    return x;
  }
  Tensor<float> do_backward(Tensor<float> dy, Record&) override {
    ++backwards;
    return dy;
  }
  void do_backward_parameters(Tensor<float>, Record&) override {}
  Tensor<float> do_infer(Tensor<float> x) const override { return x; }
};

TEST(Graph, CopiesOnlyWhatIsStillNeeded) {
  const KernelsOnly kernels_only;
  Graph<float> net;
  net.input("x")
      .add("first", Probe{}, "x")
      .add("branch", Probe{}, "first")
      .join("sum", Add<float>{}, {"first", "branch"})
      .output("sum");
  auto x = some<float>({2, 3});
  const float* memory = x.data();
  const Tensor<float> y = net.forward(std::move(x));
  EXPECT_EQ(dynamic_cast<Probe&>(net.find("first")).seen, memory);
  EXPECT_NE(dynamic_cast<Probe&>(net.find("branch")).seen, memory);
  EXPECT_EQ(y.data(), memory);
}

TEST(Graph, BackwardParametersSparesWhatTheInputFeeds) {
  Graph<float> net;
  net.input("x")
      .add("first", Probe{}, "x")
      .add("second", Probe{}, "first")
      .join("sum", Add<float>{}, {"second", "x"})
      .output("sum");
  net.forward(some<float>({2, 3}));
  net.backward_parameters(some<float>({2, 3}));
  EXPECT_EQ(dynamic_cast<Probe&>(net.find("first")).backwards, 0);
  EXPECT_EQ(dynamic_cast<Probe&>(net.find("second")).backwards, 1);
}

// Misuse.

TEST(GraphMisuse, ACycle) {
  Graph<double> net;
  net.input("x")
      .join("sum", Add<double>{}, {"x", "b"})
      .add("a", ReLU<double>{}, "sum")
      .add("b", ReLU<double>{}, "a")
      .add("after", ReLU<double>{}, "b")
      .output("after");
  EXPECT_THAT([&] { net.check(); },
              ThrowsMessage<GraphError>(AllOf(HasSubstr("Graph"), HasSubstr("cycle"),
                                              HasSubstr("'sum' -> 'a'"), HasSubstr("'a' -> 'b'"),
                                              HasSubstr("'b' -> 'sum'"), Not(HasSubstr("'after'")))));
  EXPECT_THROW(net.forward(some<double>({2, 2})), GraphError);
  EXPECT_THROW(net.infer(some<double>({2, 2})), GraphError);

  Graph<double> self;
  self.input("x").join("loop", Add<double>{}, {"x", "loop"}).output("loop");
  EXPECT_THAT([&] { self.check(); }, ThrowsMessage<GraphError>(HasSubstr("'loop' -> 'loop'")));
}

TEST(GraphMisuse, AnUnknownName) {
  Graph<double> net;
  net.input("x").add("a", ReLU<double>{}, "y").output("a");
  EXPECT_THAT(
      [&] {
        net.output_shape({2, 2});
      },
      ThrowsMessage<GraphError>(AllOf(HasSubstr("'a' takes 'y'"), HasSubstr("not in the graph"))));
  Graph<double> other;
  other.input("x").add("a", ReLU<double>{}, "x").output("b");
  EXPECT_THAT([&] { other.check(); }, ThrowsMessage<GraphError>(HasSubstr("output 'b'")));
}

TEST(GraphMisuse, AnUnusedNode) {
  Graph<double> net;
  net.input("x").add("a", ReLU<double>{}, "x").add("b", ReLU<double>{}, "x").output("a");
  EXPECT_THAT([&] { net.check(); }, ThrowsMessage<GraphError>(HasSubstr("'b' is not used")));
  net.output("b").check();
  net.input("z");
  EXPECT_THAT([&] { net.check(); }, ThrowsMessage<GraphError>(HasSubstr("'z' is not used")));
}

TEST(GraphMisuse, ANameThatIsTaken) {
  Graph<double> net;
  net.input("x").add("a", ReLU<double>{}, "x").output("a");
  EXPECT_THAT([&] { net.add("a", ReLU<double>{}, "x"); },
              ThrowsMessage<GraphError>(HasSubstr("two nodes named 'a'")));
  EXPECT_THAT([&] { net.join("x", Add<double>{}, {"a"}); },
              ThrowsMessage<GraphError>(HasSubstr("two nodes named 'x'")));
  EXPECT_THAT([&] { net.output("a"); }, ThrowsMessage<GraphError>(HasSubstr("'a' is an output already")));
  net.check();  // nothing has changed
}

TEST(GraphMisuse, TwoLayersWithOnePath) {
  Graph<double> net;
  net.input("x")
      .add("a", Sequential<double>{ReLU<double>{}}, "x")
      .add("a.0", ReLU<double>{}, "a")
      .output("a.0");
  EXPECT_THAT([&] { net.check(); }, ThrowsMessage<GraphError>(HasSubstr("'a.0'")));
}

TEST(GraphMisuse, ANameThatCannotBe) {
  Graph<double> net;
  EXPECT_THAT([&] { net.input(""); }, ThrowsMessage<GraphError>(HasSubstr("''")));
  EXPECT_THAT([&] { net.add(".a", ReLU<double>{}, "x"); }, ThrowsMessage<GraphError>(HasSubstr("'.a'")));
  EXPECT_THAT([&] { net.add("a.", ReLU<double>{}, "x"); }, ThrowsMessage<GraphError>(HasSubstr("'a.'")));
  EXPECT_THAT([&] { net.join("a", Add<double>{}, {}); }, ThrowsMessage<GraphError>(HasSubstr("'a'")));
  EXPECT_THAT([&] { net.add("a", std::unique_ptr<Layer<double>>(), "x"); },
              ThrowsMessage<GraphError>(HasSubstr("null")));
  EXPECT_THAT([&] { net.join("a", std::unique_ptr<Join<double>>(), {"x"}); },
              ThrowsMessage<GraphError>(HasSubstr("null")));
}

TEST(GraphMisuse, NoInputOrOutput) {
  Graph<double> net;
  EXPECT_THAT([&] { net.check(); }, ThrowsMessage<GraphError>(HasSubstr("no input")));
  net.input("x");
  EXPECT_THAT([&] { net.forward(some<double>({2, 2})); }, ThrowsMessage<GraphError>(HasSubstr("no output")));
}

TEST(GraphMisuse, OneTensorForSeveral) {
  Graph<double> net = two_in_two_out();
  EXPECT_THAT(
      [&] {
        net.forward(some<double>({2, 6}));
      },
      ThrowsMessage<StateError>(AllOf(HasSubstr("2 inputs and 2 outputs"), HasSubstr("vectors"))));
  EXPECT_THROW(net.infer(some<double>({2, 6})), StateError);
  EXPECT_THROW(net.multiply_adds({2, 6}), StateError);
  EXPECT_THAT(
      [&] {
        net.forward(std::vector<Tensor<double>>{some<double>({2, 6})});
      },
      ThrowsMessage<ShapeError>(AllOf(HasSubstr("2 input tensors"), HasSubstr("got 1"))));
}

TEST(GraphMisuse, BackwardOutOfOrderOrOfTheWrongShape) {
  Graph<double> net = two_in_two_out();
  const std::vector<Tensor<double>> x{some<double>({3, 6}), some<double>({3, 2})};
  const std::vector<Tensor<double>> dy{some<double>({3, 3}), some<double>({3, 5})};
  EXPECT_THAT([&] { net.backward(dy); }, ThrowsMessage<StateError>(HasSubstr("forward before it")));
  net.forward(x);
  EXPECT_THAT([&] { net.backward(std::vector<Tensor<double>>{dy[0]}); },
              ThrowsMessage<ShapeError>(AllOf(HasSubstr("2 output gradients"), HasSubstr("got 1"))));
  EXPECT_THAT(
      [&] {
        net.backward({dy[1], dy[0]});
      },
      ThrowsMessage<ShapeError>(AllOf(HasSubstr("'head'"), HasSubstr("(3, 3)"), HasSubstr("(3, 5)"))));
  EXPECT_EQ(net.backward(dy).size(), 2u);  // the failed calls used up nothing
  EXPECT_THROW(net.backward(dy), StateError);
}

TEST(GraphMisuse, BranchesThatDoNotFitNameTheJoin) {
  Graph<double> block;
  block.input("x").add("a", Linear<double>{4, 5}, "x").join("sum", Add<double>{}, {"a", "x"}).output("sum");
  Sequential<double> net;
  net.add("block", std::move(block));
  EXPECT_THAT(
      [&] {
        net.forward(some<double>({2, 4}));
      },
      ThrowsMessage<ShapeError>(
          AllOf(HasSubstr("Add 'block.sum'"), HasSubstr("(2, 5)"), HasSubstr("(2, 4)"))));
}

}  // namespace
}  // namespace strata
