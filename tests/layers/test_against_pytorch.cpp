// Every layer against what PyTorch computes for it: outputs, gradients and running statistics over a sequence
// of training and evaluation passes whose batch size changes. tests/reference/layer_cases.py lists the cases.
//
// Where our defaults differ from PyTorch's, the cases say so by their options:
//   running variance   biased here; PyTorch's is the unbiased one (`.unbiased = true`). The cases without it
//                      were computed with torch.var(unbiased=False).
//   InstanceNorm2D     affine by default here. PyTorch does not count its batches and cannot average
//                      cumulatively (momentum None means 0); here it means what it means in batch norm.
//   minimum_factor     unknown to PyTorch: computed with a momentum of max(1 / n, minimum_factor) in batch n.
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "strata/strata.hpp"
#include "tests/reference.hpp"

namespace strata {
namespace {

using nlohmann::json;
using pytorch::Case;
using pytorch::read;
using pytorch::to_shape;
using pytorch::to_size;

template <class Options>
Options convolution_options(const json& a) {
  Options options;
  read(a, "stride", options.stride);
  read(a, "padding", options.padding);
  read(a, "dilation", options.dilation);
  read(a, "groups", options.groups);
  read(a, "bias", options.bias);
  if constexpr (requires { options.output_padding; }) read(a, "output_padding", options.output_padding);
  return options;
}

template <class Options>
Options norm_options(const json& a) {
  Options options;
  read(a, "eps", options.eps);
  read(a, "affine", options.affine);
  if constexpr (requires { options.momentum; }) {
    read(a, "momentum", options.momentum);
    read(a, "minimum_factor", options.minimum_factor);
    read(a, "track_running_stats", options.track_running_stats);
    read(a, "unbiased", options.unbiased);
  }
  return options;
}

template <class Options>
Options pool_options(const json& a) {
  Options options;
  read(a, "stride", options.stride);
  read(a, "padding", options.padding);
  if constexpr (requires { options.count_include_pad; })
    read(a, "count_include_pad", options.count_include_pad);
  return options;
}

using Made = std::unique_ptr<Layer<double>>;

template <class L, class... Arguments>
Made make(Arguments&&... arguments) {
  return std::make_unique<L>(std::forward<Arguments>(arguments)...);
}

const std::map<std::string, Made (*)(const json&)> kFactories = {
    {"Conv2D",
     [](const json& a) {
       return make<Conv2D<double>>(a.at("in_channels").get<Index>(), a.at("out_channels").get<Index>(),
                                   to_size(a.at("kernel")), convolution_options<Conv2DOptions>(a));
     }},
    {"ConvTranspose2D",
     [](const json& a) {
       return make<ConvTranspose2D<double>>(a.at("in_channels").get<Index>(),
                                            a.at("out_channels").get<Index>(), to_size(a.at("kernel")),
                                            convolution_options<ConvTranspose2DOptions>(a));
     }},
    {"Linear",
     [](const json& a) {
       LinearOptions options;
       read(a, "bias", options.bias);
       return make<Linear<double>>(a.at("in_features").get<Index>(), a.at("out_features").get<Index>(),
                                   options);
     }},
    {"BatchNorm1D",
     [](const json& a) {
       return make<BatchNorm1D<double>>(a.at("features").get<Index>(), norm_options<BatchNormOptions>(a));
     }},
    {"SpatialBatchNorm",
     [](const json& a) {
       return make<SpatialBatchNorm<double>>(a.at("channels").get<Index>(),
                                             norm_options<BatchNormOptions>(a));
     }},
    {"InstanceNorm2D",
     [](const json& a) {
       return make<InstanceNorm2D<double>>(a.at("channels").get<Index>(),
                                           norm_options<InstanceNormOptions>(a));
     }},
    {"GroupNorm",
     [](const json& a) {
       return make<GroupNorm<double>>(a.at("groups").get<Index>(), a.at("channels").get<Index>(),
                                      norm_options<GroupNormOptions>(a));
     }},
    {"LayerNorm",
     [](const json& a) {
       return make<LayerNorm<double>>(to_shape(a.at("normalized_shape")), norm_options<LayerNormOptions>(a));
     }},
    {"ReLU", [](const json&) { return make<ReLU<double>>(); }},
    {"LeakyReLU",
     [](const json& a) {
       return a.contains("negative_slope") ? make<LeakyReLU<double>>(a.at("negative_slope").get<double>())
                                           : make<LeakyReLU<double>>();
     }},
    {"Sigmoid", [](const json&) { return make<Sigmoid<double>>(); }},
    {"Tanh", [](const json&) { return make<Tanh<double>>(); }},
    {"Dropout", [](const json& a) { return make<Dropout<double>>(a.at("p").get<double>()); }},
    {"Dropout2D", [](const json& a) { return make<Dropout2D<double>>(a.at("p").get<double>()); }},
    {"MaxPool2D",
     [](const json& a) {
       return make<MaxPool2D<double>>(to_size(a.at("window")), pool_options<MaxPool2DOptions>(a));
     }},
    {"AvgPool2D",
     [](const json& a) {
       return make<AvgPool2D<double>>(to_size(a.at("window")), pool_options<AvgPool2DOptions>(a));
     }},
    {"GlobalAvgPool2D", [](const json&) { return make<GlobalAvgPool2D<double>>(); }},
    {"Flatten", [](const json&) { return make<Flatten<double>>(); }},
    {"Upsample2D", [](const json& a) { return make<Upsample2D<double>>(to_size(a.at("scale"))); }},
};

std::set<std::string> keys(const json& object) {
  std::set<std::string> result;
  for (const auto& item : object.items()) result.insert(item.key());
  return result;
}

// The layer's running averages; its counter of batches must stand at `batches`.
std::map<std::string, Tensor<double>*> running_averages(Layer<double>& layer, std::int64_t batches) {
  std::map<std::string, Tensor<double>*> result;
  for (const auto& buffer : layer.named_buffers()) {
    if (auto* const* average = std::get_if<Tensor<double>*>(&buffer.value)) {
      result[buffer.name] = *average;
    } else if (buffer.name == "num_batches_tracked") {
      EXPECT_EQ(*std::get<std::int64_t*>(buffer.value), batches);
    }
  }
  return result;
}

void set_state(Layer<double>& layer, const json& state) {
  std::set<std::string> names;
  const auto set = [&](const std::string& name, Tensor<double>& value) {
    names.insert(name);
    ASSERT_TRUE(state.contains(name)) << "PyTorch has no " << name;
    const Tensor<double> given = pytorch::to_tensor(state.at(name));
    ASSERT_EQ(to_string(value.shape()), to_string(given.shape())) << name;
    value = given;
  };
  for (const auto& [name, parameter] : layer.named_parameters()) set(name, parameter->value);
  for (const auto& [name, average] : running_averages(layer, 0)) set(name, *average);
  EXPECT_EQ(names, keys(state));
}

void run_step(Layer<double>& layer, const json& step, std::int64_t training_batches) {
  const bool training = step.at("training").get<bool>();
  const Tensor<double> x = pytorch::to_tensor(step.at("x"));
  layer.train(training);
  const Tensor<double> y = layer.forward(x);
  EXPECT_TRUE(pytorch::near(y, step.at("y"))) << "y";
  if (!training) {
    EXPECT_EQ(layer.infer(x), y) << "infer differs from forward in evaluation mode";
  }

  for (auto* parameter : layer.parameters())
    parameter->gradient.fill(std::numeric_limits<double>::quiet_NaN());
  const Tensor<double> dx = layer.backward(pytorch::to_tensor(step.at("dy")));
  EXPECT_TRUE(pytorch::near(dx, step.at("dx"))) << "dx";
  for (const auto& [name, parameter] : layer.named_parameters())
    EXPECT_TRUE(pytorch::near(parameter->gradient, step.at("gradients").at(name))) << "gradient of " << name;
  for (const auto& [name, average] : running_averages(layer, training_batches))
    EXPECT_TRUE(pytorch::near(*average, step.at("buffers").at(name))) << name;
}

class LayerAgainstPyTorch : public testing::TestWithParam<Case> {};

TEST_P(LayerAgainstPyTorch, ForwardAndBackward) {
  const std::string& type = GetParam().file;
  const json expected = pytorch::load(GetParam());
  const Made layer = kFactories.at(type)(expected.at("arguments"));
  ASSERT_EQ(layer->type(), type);
  ASSERT_NO_FATAL_FAILURE(set_state(*layer, expected.at("state")));

  const json& steps = expected.at("steps");
  ASSERT_GE(steps.size(), 2u);
  std::int64_t training_batches = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    SCOPED_TRACE("step " + std::to_string(i));
    training_batches += steps[i].at("training").get<bool>();
    run_step(*layer, steps[i], training_batches);
  }
}

#define STRATA_COMPARE(LAYER)                                                                     \
  INSTANTIATE_TEST_SUITE_P(LAYER, LayerAgainstPyTorch, testing::ValuesIn(pytorch::cases(#LAYER)), \
                           pytorch::name_of)
STRATA_COMPARE(Conv2D);
STRATA_COMPARE(ConvTranspose2D);
STRATA_COMPARE(Linear);
STRATA_COMPARE(BatchNorm1D);
STRATA_COMPARE(SpatialBatchNorm);
STRATA_COMPARE(InstanceNorm2D);
STRATA_COMPARE(GroupNorm);
STRATA_COMPARE(LayerNorm);
STRATA_COMPARE(ReLU);
STRATA_COMPARE(LeakyReLU);
STRATA_COMPARE(Sigmoid);
STRATA_COMPARE(Tanh);
STRATA_COMPARE(Dropout);
STRATA_COMPARE(Dropout2D);
STRATA_COMPARE(MaxPool2D);
STRATA_COMPARE(AvgPool2D);
STRATA_COMPARE(GlobalAvgPool2D);
STRATA_COMPARE(Flatten);
STRATA_COMPARE(Upsample2D);
#undef STRATA_COMPARE

TEST(LayerAgainstPyTorchFiles, HoldSixCasesOfEveryLayer) {
  for (const auto& [type, factory] : kFactories) EXPECT_GE(pytorch::case_names(type).size(), 6u) << type;
}

}  // namespace
}  // namespace strata
