// Twenty training steps of conv - batch norm - ReLU - pool - FC - batch norm - FC from the weights and on the
// batches that PyTorch had: every loss, and the network at the end. tests/reference/optim_cases.py lists the
// runs.
//
// Our defaults differ from PyTorch's in two points, set here: the averaged variance is unbiased, and weight
// decay applies to all parameters.
#include <map>
#include <utility>
#include <variant>

#include "strata/strata.hpp"
#include "tests/reference.hpp"

namespace strata {
namespace {

using nlohmann::json;

Sequential<double> make_net() {
  const BatchNormOptions as_pytorch{.unbiased = true};
  return Sequential<double>{Conv2D<double>{2, 4, 3, {.padding = 1}},
                            SpatialBatchNorm<double>{4, as_pytorch},
                            ReLU<double>{},
                            MaxPool2D<double>{2},
                            Flatten<double>{},
                            Linear<double>{36, 8},
                            BatchNorm1D<double>{8, as_pytorch},
                            Linear<double>{8, 3}};
}

// Parameters and running averages by name.
std::map<std::string, Tensor<double>*> state_of(Layer<double>& net) {
  std::map<std::string, Tensor<double>*> result;
  for (const auto& [name, parameter] : net.named_parameters()) result[name] = &parameter->value;
  for (const auto& buffer : net.named_buffers())
    if (auto* const* average = std::get_if<Tensor<double>*>(&buffer.value)) result[buffer.name] = *average;
  return result;
}

class TrainingAgainstPyTorch : public testing::TestWithParam<pytorch::Case> {};

TEST_P(TrainingAgainstPyTorch, TwentySteps) {
  const json expected = pytorch::load(GetParam());
  Sequential<double> net = make_net();
  const auto state = state_of(net);
  ASSERT_EQ(state.size(), expected.at("initial").size());
  for (const auto& [name, value] : state) *value = pytorch::to_tensor(expected.at("initial").at(name));

  SGDOptions options{.decay_all = true};
  pytorch::read(expected.at("options"), "learning_rate", options.learning_rate);
  pytorch::read(expected.at("options"), "momentum", options.momentum);
  pytorch::read(expected.at("options"), "nesterov", options.nesterov);
  pytorch::read(expected.at("options"), "weight_decay", options.weight_decay);
  SGD<double> optimizer(options);
  const SoftmaxCrossEntropy<double> loss;

  ASSERT_EQ(expected.at("steps").size(), 20u);
  for (const json& step : expected.at("steps")) {
    auto result = loss(net.forward(pytorch::to_tensor(step.at("x"))), step.at("labels").get<Labels>());
    EXPECT_TRUE(pytorch::near(result.value, step.at("loss").get<double>(), 1e-11)) << "loss";
    net.backward_parameters(std::move(result.gradient));
    optimizer.step(net.parameters());
  }
  for (const auto& [name, value] : state)
    EXPECT_TRUE(pytorch::near(*value, expected.at("final").at(name), 1e-11)) << name;
  const Tensor<double> scores = net.infer(pytorch::to_tensor(expected.at("evaluation").at("x")));
  EXPECT_TRUE(pytorch::near(scores, expected.at("evaluation").at("y"), 1e-11)) << "scores";
}

INSTANTIATE_TEST_SUITE_P(Runs, TrainingAgainstPyTorch, testing::ValuesIn(pytorch::cases("training")),
                         pytorch::name_of);

TEST(TrainingAgainstPyTorchFiles, HoldTwoRuns) {
  EXPECT_EQ(pytorch::case_names("training").size(), 2u);
}

}  // namespace
}  // namespace strata
