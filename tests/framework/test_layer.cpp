#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/layer.hpp"
#include "strata/strata.hpp"

namespace strata {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

// Three levels: "features.0", "features.act", "features.deep.0", "head".
Sequential<float> nested() {
  Sequential<float> features{Linear<float>{4, 6}};
  features.add("act", ReLU<float>{}).add("deep", Sequential<float>{Linear<float>{6, 5, {.bias = false}}});
  Sequential<float> net;
  net.add("features", std::move(features)).add("head", Linear<float>{5, 2});
  return net;
}

std::vector<std::string> parameter_names(Layer<float>& layer) {
  std::vector<std::string> names;
  for (const auto& [name, parameter] : layer.named_parameters()) names.push_back(name);
  return names;
}

TEST(Layer, ParametersHaveDottedNames) {
  Sequential<float> net = nested();
  EXPECT_THAT(parameter_names(net), ElementsAre("features.0.weight", "features.0.bias",
                                                "features.deep.0.weight", "head.weight", "head.bias"));
  EXPECT_EQ(net.parameter_count(), 4 * 6 + 6 + 6 * 5 + 5 * 2 + 2);
  EXPECT_EQ(net.find("features.deep.0").label(), "Linear 'features.deep.0'");
  Linear<float> alone(4, 2);
  EXPECT_THAT(parameter_names(alone), ElementsAre("weight", "bias"));
  EXPECT_EQ(alone.label(), "Linear");
}

TEST(Layer, FindNamesWhatItDoesNotFind) {
  Sequential<float> net = nested();
  for (const char* path : {"", "feature", "features.1", "features.deep.0.weight", "features."})
    EXPECT_THAT(
        [&] { net.find(path); },
        ThrowsMessage<GraphError>(AllOf(HasSubstr("Sequential"), HasSubstr("'" + std::string(path) + "'"))));
}

TEST(Layer, ModesReachDown) {
  Sequential<float> net = nested();
  EXPECT_TRUE(net.find("features.deep.0").training());
  net.eval();
  for (const char* path : {"features", "features.act", "features.deep", "features.deep.0", "head"})
    EXPECT_FALSE(net.find(path).training()) << path;
  net.find("features").train();
  EXPECT_TRUE(net.find("features.deep.0").training());
  EXPECT_FALSE(net.find("head").training());
}

TEST(Layer, FreezingReachesDown) {
  Sequential<float> net = nested();
  net.find("features").freeze();
  EXPECT_EQ(net.trainable_parameter_count(), 12);
  for (const auto& [name, parameter] : net.named_parameters())
    EXPECT_EQ(parameter->trainable, name.starts_with("head")) << name;
  net.freeze(false);
  EXPECT_EQ(net.trainable_parameter_count(), net.parameter_count());
}

TEST(Layer, ASequentialCanBeAssignedAndGrown) {
  const Sequential<float> net = nested();
  Sequential<float> copy{ReLU<float>{}};
  copy = net;
  const auto x = Random(1).normal<float>({3, 4});
  EXPECT_EQ(copy.infer(x), net.infer(x));
  for (Parameter<float>* parameter : copy.parameters()) parameter->value.fill(0);
  EXPECT_NE(copy.infer(x), net.infer(x));

  Sequential<float> grown{ReLU<float>{}};
  grown.add(std::make_unique<Linear<float>>(4, 2));
  EXPECT_EQ(grown.find("1").type(), "Linear");
}

TEST(Layer, InitializationDependsOnSeedAndNameAlone) {
  Sequential<float> a = nested(), b = nested();
  for (Parameter<float>* parameter : b.parameters()) parameter->value.fill(7);
  a.initialize(1);
  b.initialize(1);
  for (std::size_t k = 0; k < a.parameters().size(); ++k)
    EXPECT_EQ(a.parameters()[k]->value, b.parameters()[k]->value);
  b.initialize(2);
  for (std::size_t k = 0; k < a.parameters().size(); ++k)
    EXPECT_NE(a.parameters()[k]->value, b.parameters()[k]->value);

  // A layer more does not change what the others draw; a layer of another name draws something else.
  Sequential<float> c = nested();
  c.add("more", Linear<float>{2, 2}).add("head2", Linear<float>{2, 2}).initialize(1);
  EXPECT_EQ(c.named_parameters()[3].second->value, a.named_parameters()[3].second->value);
  EXPECT_NE(c.named_parameters()[5].second->value, c.named_parameters()[7].second->value);
}

TEST(Layer, ConstructionDrawsFromTheManualSeed) {
  manual_seed(3);
  Linear<float> a(4, 4), b(4, 4);
  manual_seed(3);
  Linear<float> c(4, 4);
  EXPECT_EQ(a.weight().value, c.weight().value);
  EXPECT_NE(a.weight().value, b.weight().value);
}

TEST(Layer, ACloneIsIndependent) {
  Sequential<float> net = nested();
  net.eval();
  net.find("head").freeze();
  const auto copy = net.clone();
  EXPECT_FALSE(copy->find("head").training());
  EXPECT_EQ(copy->trainable_parameter_count(), net.trainable_parameter_count());
  const auto x = Random(1).normal<float>({2, 4});
  const Tensor<float> y = net.infer(x);
  EXPECT_EQ(copy->infer(x), y);
  for (Parameter<float>* parameter : copy->parameters()) parameter->value.fill(0);
  copy->train();
  EXPECT_EQ(net.infer(x), y);
  EXPECT_FALSE(net.training());
}

TEST(LayerMisuse, BackwardWithoutForward) {
  Sequential<float> net = nested();
  const auto dy = full<float>({2, 2}, 1);
  EXPECT_THAT([&] { net.backward(dy); },
              ThrowsMessage<StateError>(AllOf(HasSubstr("Sequential"), HasSubstr("forward before it"))));
  net.forward(full<float>({2, 4}, 1));
  net.backward(dy);
  EXPECT_THROW(net.backward(dy), StateError);
  net.infer(full<float>({2, 4}, 1));
  EXPECT_THROW(net.backward_parameters(dy), StateError);
}

TEST(LayerMisuse, AGradientOfTheWrongShape) {
  Sequential<float> net = nested();
  net.forward(full<float>({2, 4}, 1));
  EXPECT_THAT(
      [&] {
        net.backward(full<float>({2, 3}, 1));
      },
      ThrowsMessage<ShapeError>(AllOf(HasSubstr("(2, 2)"), HasSubstr("(2, 3)"))));
  net.backward(full<float>({2, 2}, 1));  // the forward still counts
}

TEST(LayerMisuse, AnInputOfTheWrongShapeNamesTheLayer) {
  Sequential<float> net = nested();
  for (const Shape& shape : {Shape{2, 5}, Shape{4}, Shape{2, 4, 1}})
    EXPECT_THAT([&] { net.forward(full<float>(shape, 1)); },
                ThrowsMessage<ShapeError>(AllOf(HasSubstr("Linear 'features.0'"), HasSubstr("(N, 4)"),
                                                HasSubstr(to_string(shape)))));
  net.add("misfit", Linear<float>{3, 1});
  EXPECT_THAT(
      [&] {
        net.output_shape({2, 4});
      },
      ThrowsMessage<ShapeError>(AllOf(HasSubstr("Linear 'misfit'"), HasSubstr("(2, 2)"))));
}

// A layer that breaks its promise about the shape.
class Liar final : public Layer<float> {
 public:
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Liar>(*this); }
  std::string type() const override { return "Liar"; }
  Shape output_shape(const Shape&) const override { return {1, 2}; }

 protected:
  Tensor<float> do_forward(Tensor<float> x, Record&) override { return x; }
  Tensor<float> do_backward(Tensor<float> dy, Record&) override { return dy; }
  Tensor<float> do_infer(Tensor<float> x) const override { return x; }
};

TEST(LayerMisuse, ALayerThatPromisesAnotherShape) {
  EXPECT_THAT(
      [] {
        Liar().forward(full<float>({3, 3}, 0));
      },
      ThrowsMessage<StateError>(AllOf(HasSubstr("Liar"), HasSubstr("(1, 2)"), HasSubstr("(3, 3)"))));
}

TEST(SequentialMisuse, Names) {
  Sequential<float> net = nested();
  EXPECT_THAT([&] { net.add("head", ReLU<float>{}); },
              ThrowsMessage<GraphError>(AllOf(HasSubstr("Sequential"), HasSubstr("'head'"))));
  for (const char* name : {"", ".a", "a."})
    EXPECT_THAT([&] { net.add(name, ReLU<float>{}); },
                ThrowsMessage<GraphError>(HasSubstr("'" + std::string(name) + "'")));
  EXPECT_THAT([&] { net.add("null", std::unique_ptr<Layer<float>>()); },
              ThrowsMessage<GraphError>(HasSubstr("'null' is null")));
  EXPECT_EQ(net.size(), 2);
}

TEST(Sequential, EmptyIsTheIdentity) {
  Sequential<float> net;
  const Tensor<float> x{{1, 2}};
  EXPECT_EQ(net.forward(x), x);
  EXPECT_EQ(net.backward(x), x);
  EXPECT_EQ(net.infer(x), x);
}

TEST(FiniteChecks, NameTheLayerWhereItBegan) {
  Sequential<float> net = nested();
  auto x = full<float>({2, 4}, 1);
  net.forward(x);  // unchecked
  dynamic_cast<Linear<float>&>(net.find("features.deep.0")).weight().value(1, 2) = NAN;
  dynamic_cast<Linear<float>&>(net.find("features.0")).bias().value.fill(10);
  EXPECT_NO_THROW(net.forward(x));
  {
    const FiniteChecks checks;
    const auto message = ThrowsMessage<NotFiniteError>(AllOf(
        HasSubstr("Linear 'features.deep.0'"), HasSubstr("output"), HasSubstr("nan"), HasSubstr("(2, 5)")));
    EXPECT_THAT([&] { net.forward(x); }, message);
    EXPECT_THAT([&] { net.infer(x); }, message);
  }
  EXPECT_NO_THROW(net.infer(x));
}

TEST(FiniteChecks, LookAtInputGradients) {
  Sequential<float> net = nested();
  net.forward(full<float>({2, 4}, 1));
  auto dy = full<float>({2, 2}, 1);
  dy(0, 0) = INFINITY;
  const FiniteChecks checks;
  EXPECT_THAT([&] { net.backward(dy); },
              ThrowsMessage<NotFiniteError>(AllOf(HasSubstr("Linear 'head'"), HasSubstr("input gradient"))));
}

TEST(Shapes, PrintAndCount) {
  EXPECT_EQ(to_string(Shape{64, 3, 32}), "(64, 3, 32)");
  EXPECT_EQ(to_string(Shape{}), "()");
  EXPECT_EQ(element_count({64, 3, 32}), 64 * 3 * 32);
  EXPECT_EQ(element_count({}), 1);
}

}  // namespace
}  // namespace strata
