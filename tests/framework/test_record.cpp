// Records: what forward remembers belongs to the call.
#include <gmock/gmock.h>

#include "tests/layers/fusion/fusion_checks.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using testing::max_error;
using testing::same_bits;
using ::testing::ThrowsMessage;

template <class T>
Sequential<T> make_net() {
  Graph<T> block;
  block.input("x")
      .add("conv", Conv2D<T>{16, 16, 3, {.padding = 1, .bias = false}}, "x")
      .add("norm", SpatialBatchNorm<T>{16}, "conv")
      .join("sum", Add<T>{}, {"norm", "x"})
      .add("relu", ReLU<T>{}, "sum")
      .output("relu");
  Sequential<T> net{Conv2D<T>{3, 16, 3, {.padding = 1, .bias = false}},
                    SpatialBatchNorm<T>{16},
                    ReLU<T>{},
                    MaxPool2D<T>{2},
                    std::move(block),
                    Conv2D<T>{16, 8, 3},
                    InstanceNorm2D<T>{8},
                    ReLU<T>{},
                    Sigmoid<T>{},
                    Dropout<T>{0.3},
                    GlobalAvgPool2D<T>{},
                    Flatten<T>{},
                    Linear<T>{8, 5},
                    Tanh<T>{}};
  net.initialize(1);
  return net;
}

template <class T>
Tensor<T> images(std::size_t count) {
  return Random(count).normal<T>({count, 3, 8, 8});
}

std::vector<Tensor<double>> gradients_of(Layer<double>& net) {
  std::vector<Tensor<double>> gradients;
  for (Parameter<double>* parameter : net.parameters()) gradients.push_back(parameter->gradient);
  return gradients;
}

class Records : public testing::FusionTest, public ::testing::WithParamInterface<bool> {
 protected:
  Records() { set_fusion(GetParam()); }
};

// y, dx and the parameters' gradients of each of several passes.
using Pass = std::vector<Tensor<double>>;

TEST_P(Records, OfSeveralForwardsServeTheirBackwardsInAnyOrder) {
  const std::vector<std::size_t> counts{2, 3, 2};
  const auto dy_of = [](const Tensor<double>& y, std::size_t k) {
    return Random(100 + k).normal<double>(y.shape());
  };
  // Each forward with its backward at once.
  std::vector<Pass> expected;
  Sequential<double> net = make_net<double>();
  for (std::size_t k = 0; k < counts.size(); ++k) {
    Pass pass{net.forward(images<double>(counts[k]))};
    pass.push_back(net.backward(dy_of(pass[0], k)));
    for (auto& gradient : gradients_of(net)) pass.push_back(gradient);
    expected.push_back(std::move(pass));
  }
  std::vector<std::size_t> order{0, 1, 2};
  do {
    Sequential<double> other = make_net<double>();
    std::vector<Record> records(counts.size());
    std::vector<Tensor<double>> y;
    for (std::size_t k = 0; k < counts.size(); ++k)
      y.push_back(other.forward(images<double>(counts[k]), records[k]));
    for (const std::size_t k : order) {
      EXPECT_TRUE(same_bits(y[k], expected[k][0]));
      EXPECT_TRUE(same_bits(other.backward(dy_of(y[k], k), records[k]), expected[k][1]));
      const auto gradients = gradients_of(other);
      for (std::size_t i = 0; i < gradients.size(); ++i)
        EXPECT_TRUE(same_bits(gradients[i], expected[k][2 + i])) << i;
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_P(Records, OfAnInnerLayerRunByHandAreAnother) {
  Sequential<double> net = make_net<double>(), undisturbed = net;
  const auto x = images<double>(2);
  const auto y = net.forward(x);
  undisturbed.forward(x);
  net.eval();  // so that what follows changes no running averages
  for (const auto& child : net.children()) {
    const bool first = child.name == "0";
    if (first) child.layer->backward(child.layer->forward(images<double>(5)));
    if (child.name == "5") child.layer->forward(Random(1).normal<double>({1, 16, 9, 9}));
  }
  EXPECT_TRUE(same_bits(net.backward(y), undisturbed.backward(y)));
}

TEST_P(Records, AreNotCopiedWithTheLayer) {
  Sequential<double> net = make_net<double>();
  const auto y = net.forward(images<double>(2));
  Sequential<double> copy = net;
  EXPECT_THROW(copy.backward(y), StateError);
  EXPECT_EQ(net.backward(y).shape(), (Shape{2, 3, 8, 8}));
}

TEST_P(Records, OfAnotherLayerOrOfAnEarlierOneAreRefused) {
  Sequential<double> net = make_net<double>(), other = net;
  const auto x = images<double>(2);
  Record record;
  EXPECT_THROW(net.backward(net.infer(x), record), StateError);
  const auto y = net.forward(x, record);
  EXPECT_THAT([&] { other.backward(y, record); }, ThrowsMessage<StateError>(HasSubstr("another layer")));
  net.backward(y, record);
  EXPECT_THAT([&] { net.backward(y, record); }, ThrowsMessage<StateError>(HasSubstr("needs a forward")));

  // The network changes in between: a layer more, a layer assigned to, the network assigned to.
  const std::vector<std::function<void()>> changes{
      [&] { net = Sequential<double>(other); },
      [&] {
        dynamic_cast<Linear<double>&>(net.find("12")) = Linear<double>{8, 5};
      },
      [&] {
        dynamic_cast<Conv2D<double>&>(net.find("4.conv")) = Conv2D<double>{16, 16, 3, {.padding = 1}};
      },
      [&] { net.add(Tanh<double>{}); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    net.forward(x, record);
    changes[i]();
    EXPECT_THROW(net.backward(y, record), StateError) << i;
    EXPECT_EQ(net.backward(net.forward(x)).shape(), x.shape()) << i;
  }
}

TEST_P(Records, AssignmentChangesTheValueOfALayerAndNotItsPlace) {
  Sequential<double> net{Linear<double>{3, 4}, SpatialBatchNorm<double>{2}};
  net.eval();
  dynamic_cast<Linear<double>&>(net[0]) = Linear<double>{3, 2};
  EXPECT_EQ(net[0].path(), "0");
  EXPECT_FALSE(net[0].training());
  EXPECT_EQ(net.named_parameters()[0].first, "0.weight");
  EXPECT_EQ(net[0].output_shape({1, 3}), (Shape{1, 2}));
}

// A siamese network: the same convolution, norm and fully connected layer on both inputs.
Graph<double> siamese() {
  Graph<double> net;
  net.input("a")
      .input("b")
      .add("conv", Conv2D<double>{2, 3, 3, {.padding = 1, .bias = false}}, "a")
      .add("norm", SpatialBatchNorm<double>{3}, "conv")
      .add("relu", ReLU<double>{}, "norm")
      .reuse("conv_b", "conv", "b")
      .reuse("norm_b", "norm", "conv_b")
      .add("relu_b", ReLU<double>{}, "norm_b")
      .join("both", Concat<double>{}, {"relu", "relu_b"})
      .add("flat", Flatten<double>{}, "both")
      .add("linear", Linear<double>{6 * 20, 6 * 20}, "flat")
      .reuse("linear_again", "linear", "linear")
      .output("linear_again");
  net.initialize(5);
  return net;
}

TEST_P(Records, OfALayerAtTwoPlacesGiveTheSumOfTheirGradients) {
  const auto a = Random(1).normal<double>({3, 2, 4, 5}), b = Random(2).normal<double>({3, 2, 4, 5});
  const GradientReport report = check_gradients(siamese(), std::vector{a, b}, {.max_elements = 60});
  EXPECT_TRUE(report.passed()) << report;

  // As two networks whose parameters are equal, each of which has one of the gradients.
  Graph<double> shared, apart;
  shared.input("x")
      .add("l", Linear<double>{4, 4}, "x")
      .add("t", Tanh<double>{}, "l")
      .reuse("l2", "l", "t")
      .output("l2");
  shared.initialize(1);
  Linear<double> linear = dynamic_cast<Linear<double>&>(shared.find("l"));
  apart.input("x").add("l", linear, "x").add("t", Tanh<double>{}, "l").add("l2", linear, "t").output("l2");
  const auto x = Random(3).normal<double>({5, 4}), dy = Random(4).normal<double>({5, 4});
  EXPECT_TRUE(same_bits(shared.forward(x), apart.forward(x)));
  EXPECT_TRUE(same_bits(shared.backward(dy), apart.backward(dy)));
  ASSERT_EQ(shared.named_parameters().size(), 2);
  for (std::size_t i = 0; i < 2; ++i) {
    const Tensor<double> sum = apart.parameters()[i]->gradient + apart.parameters()[2 + i]->gradient;
    EXPECT_LT(max_error(shared.parameters()[i]->gradient, sum, 1), 1e-14);
  }
  EXPECT_TRUE(same_bits(Inference<double>(shared)(x), shared.infer(x)));

  Graph<double> copy = shared;
  copy.parameters()[0]->value *= 2;
  EXPECT_GT(max_error(copy.infer(x), shared.infer(x), 1), 1e-3);
  copy.forward(x);
  EXPECT_EQ(copy.backward(dy).shape(), x.shape());
}

TEST_P(Records, ReuseNamesALayerOfTheGraph) {
  Graph<double> net;
  net.input("x").add("relu", ReLU<double>{}, "x").reuse("again", "x", "relu").output("again");
  EXPECT_THAT([&] { net.check(); }, ThrowsMessage<GraphError>(HasSubstr("'again' reuses 'x'")));
}

INSTANTIATE_TEST_SUITE_P(FusedAndPlain, Records, ::testing::Bool());

}  // namespace
}  // namespace strata
