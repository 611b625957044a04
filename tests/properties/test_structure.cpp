// The structure of a network may change between calls.
#include <gmock/gmock.h>

#include "strata/strata.hpp"
#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Sequential<double> chain() {
  Sequential<double> net;
  net.add("conv", Conv2D<double>{2, 3, 3, {.padding = 1}}).add("norm", SpatialBatchNorm<double>{3});
  net.add("act", ReLU<double>{}).add("flat", Flatten<double>{}).add("head", Linear<double>{3 * 16, 4});
  return net;
}

Graph<double> wired() {
  Graph<double> net;
  net.input("x").add("conv", Conv2D<double>{2, 3, 3, {.padding = 1}}, "x");
  net.add("norm", SpatialBatchNorm<double>{3}, "conv").add("act", ReLU<double>{}, "norm");
  net.add("flat", Flatten<double>{}, "act").add("head", Linear<double>{3 * 16, 4}, "flat").output("head");
  return net;
}

template <class Net>
class StructureOf : public ::testing::Test {
 protected:
  static Net make() {
    if constexpr (std::is_same_v<Net, Graph<double>>)
      return wired();
    else
      return chain();
  }
  Net network = make();
  const Tensor<double> x = Random(1).normal<double>({3, 2, 4, 4});
};
using Containers = ::testing::Types<Sequential<double>, Graph<double>>;
TYPED_TEST_SUITE(StructureOf, Containers);

TYPED_TEST(StructureOf, ReplacesAHead) {
  auto& net = this->network;
  const auto model = Inference<double>{net};
  const auto before = net.infer(this->x);
  net.eval();
  net.set_path("outer");
  net.replace("head", Linear<double>{3 * 16, 7}).replace("norm", InstanceNorm2D<double>{3});
  EXPECT_EQ(net.find("head").path(), "outer.head");
  EXPECT_FALSE(net.find("head").training());
  std::vector<std::string> names;
  for (const auto& [name, parameter] : net.named_parameters()) names.push_back(name);
  EXPECT_THAT(names, ::testing::ElementsAre("outer.conv.weight", "outer.conv.bias", "outer.norm.weight",
                                            "outer.norm.bias", "outer.head.weight", "outer.head.bias"));
  EXPECT_EQ(net.infer(this->x).shape(), (Shape{3, 7}));
  net.train();
  const auto y = net.forward(this->x);
  EXPECT_EQ(y.shape(), (Shape{3, 7}));
  EXPECT_EQ(net.backward(y).shape(), this->x.shape());
  EXPECT_TRUE(check_gradients(net, this->x).passed());
  EXPECT_LT(testing::max_error(model(this->x), before), 1e-12) << "a snapshot is of its moment";
}

TYPED_TEST(StructureOf, ReplacesByAWholeNetwork) {
  auto& net = this->network;
  net.replace("head", Sequential<double>{Linear<double>{3 * 16, 5}, Tanh<double>{}, Linear<double>{5, 2}});
  EXPECT_EQ(net.find("head.2").path(), "head.2");
  EXPECT_EQ(net.forward(this->x).shape(), (Shape{3, 2}));
  auto& head = dynamic_cast<Sequential<double>&>(net.find("head"));
  head.replace("1", ReLU<double>{});
  EXPECT_EQ(net.find("head.1").label(), "ReLU 'head.1'");
  EXPECT_NO_THROW(net.backward(net.forward(this->x)));
}

TYPED_TEST(StructureOf, RefusesToReplaceWhatIsNotThere) {
  auto& net = this->network;
  const auto before = net.infer(this->x);
  for (const char* name : {"", "x", "Head", "head.0", "head."})
    EXPECT_THAT(
        [&] { net.replace(name, ReLU<double>{}); },
        ThrowsMessage<GraphError>(AllOf(HasSubstr(net.type()), HasSubstr("'" + std::string(name) + "'"))));
  EXPECT_THAT([&] { net.replace("head", std::unique_ptr<Layer<double>>()); },
              ThrowsMessage<GraphError>(HasSubstr("'head' is null")));
  ReLU<double> gone;
  const ReLU<double> taken = std::move(gone);
  EXPECT_THROW(net.replace("head", std::move(gone)), StateError);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(net.infer(this->x), before);
}

TYPED_TEST(StructureOf, ChangesBetweenForwardAndBackward) {
  auto& net = this->network;
  const auto dy = full<double>({3, 4}, 1);
  const std::vector<std::function<void()>> changes = {
      [&] { net.replace("act", Tanh<double>{}); },
      [&] {
        dynamic_cast<Linear<double>&>(net.find("head")) = Linear<double>{3 * 16, 4};
      },
      [&] {
        dynamic_cast<Conv2D<double>&>(net.find("conv")) = Conv2D<double>{2, 3, 3, {.padding = 1}};
      },
      [&] { dynamic_cast<SpatialBatchNorm<double>&>(net.find("norm")) = SpatialBatchNorm<double>{3}; },
      [&] { net = std::remove_reference_t<decltype(net)>(net); }};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    net.forward(this->x);
    changes[i]();
    EXPECT_THROW(net.backward(dy), StateError) << i;
    net.backward(net.forward(this->x));
  }
}

TEST(Structure, ASequentialGrowsBetweenForwardAndBackward) {
  Sequential<double> net = chain();
  net.forward(Random(1).normal<double>({3, 2, 4, 4}));
  net.add("more", Linear<double>{4, 2});
  EXPECT_THROW(net.backward(full<double>({3, 4}, 1)), StateError);
  EXPECT_THROW(net.backward(full<double>({3, 2}, 1)), StateError);
}

TEST(Structure, ANetworkBecomesAPartOfItself) {
  Sequential<double> net{chain(), ReLU<double>{}};
  const auto x = Random(1).normal<double>({3, 2, 4, 4});
  const auto inner = net[0].infer(x);
  net = std::move(dynamic_cast<Sequential<double>&>(net[0]));
  EXPECT_EQ(net.infer(x), inner);
  EXPECT_EQ(net.find("head").path(), "head");
  Graph<double> outer;
  outer.input("x").add("inner", wired(), "x").output("inner");
  const auto of_inner = outer.infer(x);
  outer = std::move(dynamic_cast<Graph<double>&>(outer.find("inner")));
  EXPECT_EQ(outer.infer(x), of_inner);
  outer.replace("head", Linear<double>{3 * 16, 1});
  EXPECT_EQ(outer.infer(x).shape(), (Shape{3, 1}));
}

TEST(Structure, AnIndexThatIsNot) {
  Sequential<double> net = chain();
  for (const Index i : {Index{-1}, Index{5}, std::numeric_limits<Index>::max()})
    EXPECT_THAT([&] { net[i].eval(); },
                ThrowsMessage<GraphError>(AllOf(HasSubstr("5"), HasSubstr(std::to_string(i)))));
}

// Copies of one layer at several places, and one layer at several nodes, drop different elements.
TEST(Structure, CopiesDrawOnTheirOwn) {
  const Dropout<double> dropout(0.5);
  Sequential<double> block{dropout};
  Graph<double> net;
  net.input("x").add("a", dropout, "x").add("b", dropout, "x").add("c", block, "x").add("d", block, "x");
  net.reuse("e", "a", "x").output("a").output("b").output("c").output("d").output("e");
  std::vector<Tensor<double>> x;
  x.push_back(full<double>({64, 8}, 1));
  const auto y = net.forward(std::move(x));
  for (std::size_t i = 0; i < y.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(y[i], y[j]) << i << ", " << j;
  // A network and its copy draw the same: a copy is a copy.
  Sequential<double> one{dropout, block}, two(one);
  EXPECT_EQ(one.forward(y[0]), two.forward(y[0]));
}

class SolverStructure : public ::testing::Test {
 protected:
  Sequential<float> make() const {
    return Sequential<float>{Conv2D<float>{3, 4, 3},   SpatialBatchNorm<float>{4}, ReLU<float>{},
                             GlobalAvgPool2D<float>{}, Flatten<float>{},           Linear<float>{4, 10}};
  }
  Solver<float> solver(Sequential<float>& net, SolverOptions<float> options = {}) const {
    options.epochs = 3;
    options.batch_size = 8;
    return {net, {data, data}, Adam<float>{}, std::move(options)};
  }
  std::shared_ptr<const Dataset> data = synthetic(24);
};

TEST_F(SolverStructure, MayChangeBeforeTraining) {
  Sequential<float> net = make();
  auto s = solver(net);
  net.replace("5", Sequential<float>{Linear<float>{4, 12}, ReLU<float>{}, Linear<float>{12, 10}});
  net.add(Tanh<float>{});
  EXPECT_EQ(s.train().epochs.size(), 3);
}

TEST_F(SolverStructure, MayReplaceALayerByAnotherOfItsShapes) {
  Sequential<float> net = make();
  Index stops = 0;
  auto s = solver(net, {.after_step = [&](StepReport& report) { report.stop = ++stops == 2; }});
  s.train();
  net.replace("5", Linear<float>{4, 10}).replace("2", Tanh<float>{});
  EXPECT_EQ(s.train().epochs.size(), 3);
  const Sequential<float> copy(net);
  net = copy;
  EXPECT_NO_THROW(s.restore_best());
}

TEST_F(SolverStructure, SaysWhenItHasBecomeAnother) {
  const auto refuses = [&](const auto& change, const char* what) {
    Sequential<float> net = make();
    bool changed = false;
    auto s = solver(net, {.after_step = [&](StepReport& report) { report.stop = !changed; }});
    s.train();
    changed = true;
    change(net);
    const auto says = ThrowsMessage<StateError>(AllOf(HasSubstr("Solver"), HasSubstr(what)));
    EXPECT_THAT([&] { s.train(); }, says);
    EXPECT_THAT([&] { s.save_checkpoint("/nowhere/at/all"); }, says);
  };
  refuses([](auto& net) { net.add(Linear<float>{10, 10}); }, "'6.weight' (10, 10)");
  refuses([](auto& net) { net.replace("5", Linear<float>{4, 12}); }, "'5.weight' (12, 4)");
  refuses([](auto& net) { net.replace("1", ReLU<float>{}); }, "'1.weight' (4)");
  refuses(
      [](auto& net) {
        net.replace("1", InstanceNorm2D<float>{4, {.affine = true}});
      },
      "buffer '1.running_mean'");
}

TEST_F(SolverStructure, MayChangeInACallback) {
  const auto expect = [](bool fits, Solver<float>& solver) {
    if (fits)
      EXPECT_NO_THROW(solver.train());
    else
      EXPECT_THROW(solver.train(), StateError);
  };
  for (const bool fits : {true, false}) {
    Sequential<float> net = make();
    const auto change = [&](auto& report) {
      if (report.epoch == 2) net.replace("5", Linear<float>{4, fits ? 10 : 20});
    };
    auto by_step = solver(net, {.after_step = change});
    expect(fits, by_step);
    Sequential<float> other = make();
    auto by_epoch = solver(other, {.after_epoch = [&](EpochReport& report) {
                             if (report.record.epoch == 1)
                               other.replace("5", Linear<float>{4, fits ? 10 : 20});
                           }});
    expect(fits, by_epoch);
  }
}

// Keeps a number of values that are not learned.
class Memory final : public Layer<float> {
 public:
  explicit Memory(std::size_t size) : values_(zeros<float>({size})) {}
  std::string type() const override { return "Memory"; }
  std::unique_ptr<Layer<float>> clone() const override { return std::make_unique<Memory>(*this); }

 protected:
  Tensor<float> do_forward(Tensor<float> x, Record&) override { return x; }
  Tensor<float> do_backward(Tensor<float> dy, Record&) override { return dy; }
  Tensor<float> do_infer(Tensor<float> x) const override { return x; }
  std::vector<Buffer<float>> own_buffers() override { return {{"values", &values_}}; }

 private:
  Tensor<float> values_;
};

TEST_F(SolverStructure, NoticesABufferOfAnotherShape) {
  Sequential<float> net{Flatten<float>{}, Memory{20}, Linear<float>{3 * 32 * 32, 10}};
  auto training = solver(net, {.after_epoch = [&](EpochReport&) { net.replace("1", Memory{10}); }});
  EXPECT_THAT([&] { training.train(); },
              ThrowsMessage<StateError>(
                  AllOf(HasSubstr("buffer '1.values' (20)"), HasSubstr("buffer '1.values' (10)"))));
}

// A vector of networks that grows moves them, and frees the place where they were.
TYPED_TEST(StructureOf, BackwardAfterItsPlaceIsGoneSaysSo) {
  auto old = std::make_unique<TypeParam>(this->network);
  const auto y = old->forward(this->x);
  TypeParam net(std::move(*old));
  old.reset();
  EXPECT_THAT([&] { net.backward(y); }, ThrowsMessage<StateError>(HasSubstr("has been moved since")));
  EXPECT_EQ(net.forward(this->x), y);
  EXPECT_EQ(net.backward(y).shape(), this->x.shape());
}

TYPED_TEST(StructureOf, SaysThatItWasMovedFrom) {
  TypeParam& net = this->network;
  const TypeParam taken(std::move(net));
  const auto says = ThrowsMessage<StateError>(HasSubstr("moved"));
  // NOLINTBEGIN(bugprone-use-after-move)
  EXPECT_THAT([&] { net.replace("head", Linear<double>{1, 1}); }, says);
  if constexpr (std::is_same_v<TypeParam, Graph<double>>) {
    EXPECT_THAT([&] { net.output("x"); }, says);
    EXPECT_THAT([&] { net.backward(std::vector<Tensor<double>>(1)); }, says);
  } else {
    EXPECT_THAT([&] { net[0]; }, says);
    EXPECT_THAT([&] { net.output_shape({3, 2, 4, 4}); }, says);
  }
  // NOLINTEND(bugprone-use-after-move)
}

// A user's layer that is made of others, not a container.
class Doubled final : public Layer<double> {
 public:
  Doubled() = default;
  std::string type() const override { return "Doubled"; }
  std::unique_ptr<Layer<double>> clone() const override { return std::make_unique<Doubled>(*this); }
  Shape output_shape(const Shape& input) const override { return inner.output_shape(input); }
  std::vector<Child> children() override { return {{"inner", &inner}}; }

  Linear<double> inner{2, 2};

 protected:
  Tensor<double> do_forward(Tensor<double> x, Record&) override { return 2 * inner.forward(std::move(x)); }
  Tensor<double> do_backward(Tensor<double> dy, Record&) override { return inner.backward(2 * dy); }
  Tensor<double> do_infer(Tensor<double> x) const override { return 2 * inner.infer(std::move(x)); }
};

TEST(Structure, TensorsWithinAUsersLayerAreChecked) {
  Doubled layer;
  Tensor<double> taken;
  taken = std::move(layer.inner.weight().value);  // keeps its shape, but nothing else
  EXPECT_THAT(
      [&] {
        layer.forward(full<double>({1, 2}, 1));
      },
      ThrowsMessage<ShapeError>(HasSubstr("one that was moved from")));
  EXPECT_THROW(state_of(layer), ShapeError);
}

TEST(Structure, StateOfAnOptimizerThatWasMovedAwayIsNoticed) {
  Linear<float> layer(2, 2);
  SGD<float> optimizer({.momentum = 0.5});
  optimizer.step(layer.parameters());
  Tensor<float> taken;
  taken = std::move(*std::get<Tensor<float>*>(optimizer.state()[0].value));
  EXPECT_THAT([&] { optimizer.step(layer.parameters()); },
              ThrowsMessage<ShapeError>(HasSubstr("one that was moved from")));
}

// What others of the public classes do when their value is gone.
template <class Object, class... Uses>
void expect_refuses_after_move(Object object, const Uses&... uses) {
  const std::vector<std::function<void(Object&)>> calls{uses...};
  Object taken(std::move(object));
  // NOLINTBEGIN(bugprone-use-after-move)
  for (const auto& call : calls)
    EXPECT_THAT([&] { call(object); }, ThrowsMessage<StateError>(HasSubstr("moved")));
  object = std::move(taken);
  for (const auto& call : calls) EXPECT_NO_THROW(call(object));
  // NOLINTEND(bugprone-use-after-move)
}

TEST(MovedFrom, LoadersInferencesAndOptimizers) {
  const auto data = synthetic(4);
  expect_refuses_after_move(
      DataLoader<float>(data, {.batch_size = 2}), [](auto& loader) { loader.start_epoch(0); },
      [](auto& loader) { loader.next(); }, [](auto& loader) { (void)loader.batches(); },
      [](auto& loader) { (void)loader.options(); });
  Linear<float> layer(2, 2);
  expect_refuses_after_move(
      Inference<float>(layer),
      [](auto& model) {
        model(full<float>({1, 2}, 1));
      },
      [](auto& model) { (void)model.network(); },
      [](auto& model) {
        std::vector<Tensor<float>> x;
        x.push_back(full<float>({1, 2}, 1));
        model(std::move(x));
      });
  const auto step = [&](auto& optimizer) { optimizer.step(layer.parameters()); };
  const auto prepare = [&](auto& optimizer) { optimizer.prepare(layer.parameters()); };
  const auto step_clone = [&](auto& optimizer) { optimizer.clone()->step(layer.parameters()); };
  expect_refuses_after_move(SGD<float>({.momentum = 0.5}), step, prepare, step_clone);
  expect_refuses_after_move(Adam<float>(), step, prepare, step_clone);
  expect_refuses_after_move(AdamW<float>(), step, prepare, step_clone);
  expect_refuses_after_move(RMSProp<float>(), step, prepare, step_clone);
  expect_refuses_after_move(Adagrad<float>(), step, prepare, step_clone);
}

TEST(MovedFrom, ParametersAndStatisticsOfLayers) {
  const auto weight = [](auto& layer) { (void)layer.weight().value; };
  const auto shape = [](auto& layer) { (void)std::as_const(layer).weight().shape(); };
  const auto bias = [](auto& layer) { (void)layer.bias().gradient; };
  const auto mean = [](auto& layer) { (void)layer.running_mean(); };
  const auto variance = [](auto& layer) { (void)layer.running_var(); };
  const auto batches = [](auto& layer) { (void)layer.num_batches_tracked(); };
  expect_refuses_after_move(Linear<float>(2, 3), weight, shape, bias);
  expect_refuses_after_move(Conv2D<float>(2, 3, 3), weight, shape, bias);
  expect_refuses_after_move(ConvTranspose2D<float>(2, 3, 3), weight, shape, bias);
  expect_refuses_after_move(GroupNorm<float>(1, 2), weight, bias);
  expect_refuses_after_move(LayerNorm<float>(Shape{2}), weight, bias);
  expect_refuses_after_move(BatchNorm1D<float>(2), weight, bias, mean, variance, batches);
  expect_refuses_after_move(SpatialBatchNorm<float>(2), weight, bias, mean, variance, batches);
  expect_refuses_after_move(InstanceNorm2D<float>(2, {.track_running_stats = true}), weight, bias, mean,
                            variance, batches);
}

TEST(MovedFrom, ARecord) {
  ReLU<float> layer;
  Record record;
  const auto y = layer.forward(full<float>({2}, 1), record);
  Record taken(std::move(record));
  EXPECT_THROW(layer.backward(y, record), StateError);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(layer.backward(y, taken), y);
}

TEST(MovedFrom, ASolver) {
  Sequential<float> net{Flatten<float>{}, Linear<float>{3 * 32 * 32, 10}};
  const auto data = synthetic(4);
  Solver<float> solver(net, {data, nullptr}, SGD<float>{}, {.epochs = 1});
  Solver<float> taken(std::move(solver));
  const auto says = ThrowsMessage<StateError>(HasSubstr("moved"));
  EXPECT_THAT([&] { solver.train(); }, says);  // NOLINT(bugprone-use-after-move)
  EXPECT_THAT([&] { solver.save_checkpoint("/nowhere"); }, says);
  EXPECT_THAT([&] { (void)solver.optimizer(); }, says);
  EXPECT_THAT([&] { (void)solver.history(); }, says);
  EXPECT_EQ(taken.train().epochs.size(), 1);
  const Solver<float> done(std::move(taken));
  EXPECT_THAT([&] { taken.train(); }, says);  // NOLINT(bugprone-use-after-move)
  EXPECT_THAT([&] { taken.restore_best(); }, says);
  EXPECT_EQ(done.history().epochs.size(), 1);
}

}  // namespace
}  // namespace strata
