// What others did to a network between calls is found before it is computed with, on every path: alone, in a
// container where it may be fused, in an Inference, in an optimizer.
#include <gmock/gmock.h>

#include "tests/properties/value_samples.hpp"

namespace strata {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::sample;
using testing::sample_input;
using ::testing::ThrowsMessage;

struct Damage {
  const char* name;
  std::function<void(Parameter<double>&)> apply;
};

Shape larger(Shape shape) {
  for (std::size_t& extent : shape) extent += 2;
  return shape;
}
Shape reversed(const Shape& shape) {
  return Shape(shape.rbegin(), shape.rend());
}

std::vector<Damage> damages() {
  return {
      {"a larger value", [](auto& p) { p.value = full<double>(larger(p.value.shape()), 1); }},
      {"a larger value, transposed",
       [](auto& p) { p.value = full<double>(reversed(larger(p.value.shape())), 1); }},
      {"a scalar value", [](auto& p) { p.value = full<double>({}, 1); }},
      {"no value", [](auto& p) { p.value = empty<double>({0}); }},
      {"a value moved away", [](auto& p) { const Tensor<double> taken = std::move(p.value); }},
      {"a larger gradient", [](auto& p) { p.gradient.resize(larger(p.value.shape())); }},
      {"a gradient let go", [](auto& p) { p.gradient = Tensor<double>(); }},
      {"a gradient moved away", [](auto& p) { const Tensor<double> taken = std::move(p.gradient); }},
      {"another parameter",
       [](auto& p) { p = Parameter<double>(p.name, full<double>(larger(p.value.shape()), 1)); }},
  };
}

template <class L>
class MisfitsOf : public ::testing::Test {};
using WithParameters =
    ::testing::Types<Linear<double>, Conv2D<double>, ConvTranspose2D<double>, BatchNorm1D<double>,
                     SpatialBatchNorm<double>, InstanceNorm2D<double>, GroupNorm<double>, LayerNorm<double>>;
TYPED_TEST_SUITE(MisfitsOf, WithParameters);

// In front of and behind it stands what it may be fused with.
template <class L>
Sequential<double> network_around(const L& layer) {
  Sequential<double> net;
  if (sample_input<L>().size() == 4) net.add("before", Conv2D<double>{3, 3, 3, {.padding = 1}});
  net.add("place", layer);
  net.add("behind", ReLU<double>{});
  return net;
}

TYPED_TEST(MisfitsOf, AreRefusedOnEveryPath) {
  using L = TypeParam;
  const Shape input = sample_input<L>();
  const auto x = Random(1).normal<double>(input);
  for (const Damage& damage : damages())
    for (std::size_t k = 0; k < L(sample<L>()).parameters().size(); ++k) {
      SCOPED_TRACE(damage.name + std::string(", parameter ") + std::to_string(k));
      L alone = sample<L>();
      Sequential<double> net = network_around(alone);
      SGD<double> sgd;
      const std::string name = alone.parameters()[k]->name;
      for (Layer<double>* layer : std::initializer_list<Layer<double>*>{&alone, &net}) {
        const auto y = layer->forward(x);
        Layer<double>& hit = layer == &net ? net.find("place") : *layer;
        const L healthy(dynamic_cast<L&>(hit));
        damage.apply(*hit.parameters()[k]);
        const auto says = ThrowsMessage<ShapeError>(AllOf(HasSubstr(hit.label()), HasSubstr(name)));
        EXPECT_THAT([&] { layer->backward(y); }, says);
        EXPECT_THAT([&] { layer->backward_parameters(y); }, says);
        EXPECT_THAT([&] { layer->infer(x); }, says);
        EXPECT_THAT([&] { layer->forward(x); }, says);
        EXPECT_THAT([&] { Inference<double>{*layer}(x); }, says);
        if (std::string(damage.name) != "another parameter") {
          EXPECT_THAT([&] { sgd.step(layer->parameters()); }, ThrowsMessage<ShapeError>(HasSubstr(name)));
          EXPECT_THAT([&] { clip_gradient_norm(layer->parameters(), 1.0); },
                      ThrowsMessage<ShapeError>(HasSubstr(name)));
        }
        dynamic_cast<L&>(hit) = healthy;
        layer->backward(layer->forward(x));
      }
    }
}

TYPED_TEST(MisfitsOf, AreRefusedOnThePlainLoopsToo) {
  using L = TypeParam;
  const bool before = uses_reference();
  set_reference(true);
  for (const Damage& damage : damages()) {
    L layer = sample<L>();
    damage.apply(*layer.parameters()[0]);
    EXPECT_THROW(layer.forward(full<double>(sample_input<L>(), 1)), ShapeError) << damage.name;
  }
  set_reference(before);
}

template <class Norm>
void expect_running_statistics_are_looked_at(Norm norm, const Shape& input) {
  Sequential<double> net = network_around(norm);
  auto& placed = dynamic_cast<Norm&>(net.find("place"));
  const auto x = Random(1).normal<double>(input);
  for (Tensor<double>* average : {&placed.running_mean(), &placed.running_var()})
    for (const Shape& shape : {Shape{}, Shape{2}, Shape{400}}) {
      const Tensor<double> healthy = *average;
      *average = full<double>(shape, 1);
      EXPECT_THROW(net.infer(x), ShapeError);
      EXPECT_THROW(net.forward(x), ShapeError);
      EXPECT_THROW(Inference<double>{net}(x), ShapeError);
      EXPECT_THROW((void)placed.frozen_map(), ShapeError);
      *average = healthy;
      const Tensor<double> taken = std::move(*average);
      EXPECT_THROW(net.infer(x), ShapeError);
      *average = healthy;
      net.forward(x);
    }
}

TEST(Misfits, OfRunningStatistics) {
  expect_running_statistics_are_looked_at(sample<SpatialBatchNorm<double>>(), {5, 3, 6, 6});
  expect_running_statistics_are_looked_at(sample<BatchNorm1D<double>>(), {5, 3});
  expect_running_statistics_are_looked_at(sample<InstanceNorm2D<double>>(), {5, 3, 6, 6});
}

// A user's layer that returns another shape than it promises, forward or backward.
class Liar final : public Layer<double> {
 public:
  enum class When { forward, backward, infer };
  Liar(When when, Shape shape) : when_(when), shape_(std::move(shape)) {}
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Liar>(*this); }
  std::string type() const override { return "Liar"; }

 protected:
  Tensor<double> do_forward(Tensor<double> x, Record&) override { return say(When::forward, std::move(x)); }
  Tensor<double> do_backward(Tensor<double> dy, Record&) override {
    return say(When::backward, std::move(dy));
  }
  Tensor<double> do_infer(Tensor<double> x) const override { return say(When::infer, std::move(x)); }

 private:
  Tensor<double> say(When when, Tensor<double> truth) const {
    return when == when_ ? full<double>(shape_, 1) : truth;
  }
  When when_;
  Shape shape_;
};

// The same of a join.
class LiarJoin final : public Join<double> {
 public:
  LiarJoin(Liar::When when, Shape shape) : when_(when), shape_(std::move(shape)) {}
  Shape output_shape(const std::vector<Shape>& inputs) const override { return inputs[0]; }
  std::unique_ptr<Join> clone() const override { return std::make_unique<LiarJoin>(*this); }
  std::string type() const override { return "LiarJoin"; }

 protected:
  Tensor<double> do_forward(std::vector<Tensor<double>> x) const override {
    return when_ == Liar::When::backward ? x[0] : full<double>(shape_, 1);
  }
  std::vector<Tensor<double>> do_backward(Tensor<double> dy,
                                          const std::vector<Shape>& inputs) const override {
    std::vector<Tensor<double>> dx(inputs.size(), dy);
    if (when_ == Liar::When::backward) dx.back() = full<double>(shape_, 1);
    return dx;
  }

 private:
  Liar::When when_;
  Shape shape_;
};

const std::vector<Shape> kWrongShapes = {{}, {0}, {2, 3, 8, 7}, {2, 3, 1, 1}, {2, 1, 8, 8}, {1, 3, 8, 8}};

TEST(Misfits, OfWhatAUsersLayerReturnsBesideConvolutions) {
  const auto x = Random(1).normal<double>({2, 3, 8, 8});
  for (const Shape& shape : kWrongShapes)
    for (const auto when : {Liar::When::forward, Liar::When::backward, Liar::When::infer}) {
      Sequential<double> net;
      net.add(Conv2D<double>{3, 3, 3, {.padding = 1}}).add("liar", Liar(when, shape));
      net.add(Conv2D<double>{3, 3, 3, {.padding = 1}}).add(ReLU<double>{});
      const auto says =
          ThrowsMessage<StateError>(AllOf(HasSubstr("Liar 'liar'"), HasSubstr(to_string(shape))));
      if (when == Liar::When::infer) {
        EXPECT_THAT([&] { net.infer(x); }, says);
        EXPECT_THAT([&] { Inference<double>{net}(x); }, says);
        continue;
      }
      EXPECT_THAT(
          [&] {
            const auto y = net.forward(x);
            net.backward(y);
          },
          says);
    }
}

TEST(Misfits, OfWhatAUsersJoinReturnsBesideConvolutions) {
  const auto x = Random(1).normal<double>({2, 3, 8, 8});
  for (const Shape& shape : kWrongShapes)
    for (const auto when : {Liar::When::forward, Liar::When::backward}) {
      Graph<double> net;
      net.input("x").add("a", Conv2D<double>{3, 3, 3, {.padding = 1}}, "x");
      net.join("liar", LiarJoin(when, shape), {"a", "x"});
      net.add("b", Conv2D<double>{3, 3, 3, {.padding = 1}}, "liar").output("b");
      const auto says =
          ThrowsMessage<StateError>(AllOf(HasSubstr("LiarJoin 'liar'"), HasSubstr(to_string(shape))));
      if (when == Liar::When::backward) {
        EXPECT_THAT([&] { net.backward(net.forward(x)); }, says);
        continue;
      }
      EXPECT_THAT([&] { net.forward(x); }, says);
      EXPECT_THAT([&] { net.infer(x); }, says);
      EXPECT_THAT([&] { Inference<double>{net}(x); }, says);
    }
}

// Each inner layer is run by hand between forward and backward of its network: the network's gradients are as
// if it were not.
TEST(Misfits, OfAnInnerLayerThatIsRunByHand) {
  const auto make = [] {
    Sequential<double> net;
    net.add(Conv2D<double>{3, 8, 3, {.padding = 1, .bias = false}}).add(SpatialBatchNorm<double>{8});
    net.add(ReLU<double>{}).add(MaxPool2D<double>{2}).add(Conv2D<double>{8, 4, 3}).add(Flatten<double>{});
    net.add(Linear<double>{16, 3}).initialize(4);
    return net;
  };
  const auto x = Random(1).normal<double>({2, 3, 8, 8});
  Sequential<double> undisturbed = make(), net = make();
  const auto y = undisturbed.forward(x);
  const auto dx = undisturbed.backward(y);
  for (Index i = 0; i < net.size(); ++i) {
    EXPECT_EQ(net.forward(x), y);
    const Shape of_batch = net.steps({7, 3, 8, 8})[static_cast<std::size_t>(i)].input;
    const auto by_hand = net[i].forward(full<double>(of_batch, 1));
    net[i].backward(by_hand);
    EXPECT_EQ(net.backward(y), dx) << net[i].label();
    for (std::size_t k = 0; k < net.parameters().size(); ++k)
      EXPECT_EQ(net.parameters()[k]->gradient, undisturbed.parameters()[k]->gradient) << net[i].label();
    EXPECT_THROW(net[i].backward(by_hand), StateError);
  }
}

}  // namespace
}  // namespace strata
