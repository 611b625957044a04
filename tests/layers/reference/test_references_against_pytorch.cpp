// The references against what PyTorch computes, with no layer between: outputs, gradients and running
// averages of every option in tests/reference/layer_cases.py.
#include <functional>
#include <map>

#include "strata/layers/reference/activations.hpp"
#include "strata/layers/reference/convolution.hpp"
#include "strata/layers/reference/dropout.hpp"
#include "strata/layers/reference/linear.hpp"
#include "strata/layers/reference/normalization.hpp"
#include "strata/layers/reference/pooling.hpp"
#include "strata/layers/reference/upsample.hpp"
#include "tests/reference.hpp"

namespace strata {
namespace {

using nlohmann::json;
using pytorch::Case;
using pytorch::read;

/// A case's tensors by their names, and how many training batches it has had.
struct State {
  std::map<std::string, Tensor<double>> tensors;
  std::int64_t batches = 0;

  bool has(const std::string& name) const { return tensors.count(name) > 0; }
  Tensor<double>& at(const std::string& name) { return tensors.at(name); }
  /// Null if there is none.
  const double* data(const std::string& name) { return has(name) ? at(name).data() : nullptr; }
};

/// A forward and a backward pass: x and dy, and what comes of them.
struct Step {
  bool training;
  Tensor<double> x, dy;
  Tensor<double> y, dx;
  std::map<std::string, Tensor<double>> gradients;

  /// The gradient of a parameter, to be filled; null if there is no such parameter.
  double* gradient(State& state, const std::string& name) {
    if (!state.has(name)) return nullptr;
    gradients[name] = full<double>(state.at(name).shape(), NAN);
    return gradients[name].data();
  }
  Index size() const { return static_cast<Index>(x.size()); }
};

Size2D size_of(const Tensor<double>& images) {
  return {static_cast<Index>(images.shape()[2]), static_cast<Index>(images.shape()[3])};
}

Index planes_of(const Tensor<double>& images) {
  return static_cast<Index>(images.shape()[0] * images.shape()[1]);
}

template <bool transposed>
void convolution(const json& a, State& state, Step& s) {
  const Tensor<double>&large = transposed ? s.dy : s.x, &small = transposed ? s.x : s.dy;
  kernels::ConvolutionShape shape{.batch = static_cast<Index>(s.x.shape()[0]),
                                  .in_channels = static_cast<Index>(large.shape()[1]),
                                  .in = size_of(large),
                                  .out_channels = static_cast<Index>(small.shape()[1]),
                                  .out = size_of(small),
                                  .kernel = pytorch::to_size(a.at("kernel")),
                                  .stride = 1,
                                  .padding = 0,
                                  .dilation = 1,
                                  .groups = 1,
                                  .winograd = false};
  read(a, "stride", shape.stride);
  read(a, "padding", shape.padding);
  read(a, "dilation", shape.dilation);
  read(a, "groups", shape.groups);
  const double* const weight = state.data("weight");
  double* const dweight = s.gradient(state, "weight");
  if constexpr (transposed) {
    reference::convolve_backward_data(shape, s.x.data(), weight, state.data("bias"), s.y.data());
    reference::convolve<double>(shape, s.dy.data(), weight, nullptr, s.dx.data());
    reference::convolve_backward_weights(shape, s.dy.data(), s.x.data(), dweight);
  } else {
    reference::convolve(shape, s.x.data(), weight, state.data("bias"), s.y.data());
    reference::convolve_backward_data<double>(shape, s.dy.data(), weight, nullptr, s.dx.data());
    reference::convolve_backward_weights(shape, s.x.data(), s.dy.data(), dweight);
  }
  if (double* const dbias = s.gradient(state, "bias")) {
    const Size2D size = size_of(s.dy);
    reference::sum_per_channel(shape.batch, static_cast<Index>(s.dy.shape()[1]), size.h * size.w, s.dy.data(),
                               dbias);
  }
}

void linear(const json& a, State& state, Step& s) {
  const auto batch = static_cast<Index>(s.x.shape()[0]);
  const auto in = a.at("in_features").get<Index>(), out = a.at("out_features").get<Index>();
  const double* const weight = state.data("weight");
  reference::linear(batch, in, out, s.x.data(), weight, state.data("bias"), s.y.data());
  reference::linear_backward_data(batch, in, out, s.dy.data(), weight, s.dx.data());
  reference::linear_backward_parameters(batch, in, out, s.x.data(), s.dy.data(), s.gradient(state, "weight"),
                                        s.gradient(state, "bias"));
}

void normalize(const normalization::Sets& sets, const json& a, State& state, Step& s) {
  double eps = 1e-5;
  read(a, "eps", eps);
  const normalization::Affine<double> affine{state.data("weight"), state.data("bias")};
  const bool tracks = state.has("running_mean"), frozen = tracks && !s.training;
  normalization::Statistics statistics;
  auto which = sets;
  if (frozen) {
    const auto &mean = state.at("running_mean"), &variance = state.at("running_var");
    statistics = {{mean.begin(), mean.end()}, {variance.begin(), variance.end()}};
    which = normalization::per_channel(s.x.shape());
  } else {
    statistics = reference::statistics(sets, s.x.data());
  }
  reference::normalize(which, s.x.data(), statistics, affine, eps, s.y.data());
  // In the place of dy, as a layer does.
  s.dx = s.dy;
  reference::normalize_backward(which, s.x.data(), s.dx.data(), statistics, affine, eps, frozen, s.dx.data(),
                                s.gradient(state, "weight"), s.gradient(state, "bias"));
  if (!tracks || !s.training) return;
  std::optional<double> momentum = 0.1;
  double minimum_factor = 0;
  bool unbiased = false;
  read(a, "momentum", momentum);
  read(a, "minimum_factor", minimum_factor);
  read(a, "unbiased", unbiased);
  reference::update_running_statistics(statistics,
                                       reference::weight_of_batch(momentum, minimum_factor, ++state.batches),
                                       unbiased ? reference::unbiased_correction(sets) : 1, sets.channels,
                                       state.at("running_mean").data(), state.at("running_var").data());
}

void batch_norm(const json& a, State& state, Step& s) {
  normalize(normalization::per_channel(s.x.shape()), a, state, s);
}

void instance_norm(const json& a, State& state, Step& s) {
  normalize(normalization::per_group(s.x.shape(), static_cast<Index>(s.x.shape()[1])), a, state, s);
}

void group_norm(const json& a, State& state, Step& s) {
  normalize(normalization::per_group(s.x.shape(), a.at("groups").get<Index>()), a, state, s);
}

void layer_norm(const json& a, State& state, Step& s) {
  const auto m = static_cast<std::size_t>(element_count(pytorch::to_shape(a.at("normalized_shape"))));
  normalize(normalization::per_group({s.x.size() / m, m}, 1), a, state, s);
}

void leaky_relu(const json& a, double slope, Step& s) {
  read(a, "negative_slope", slope);
  std::vector<std::uint8_t> positive(reference::mask_bytes(s.size()));
  reference::leaky_relu(s.size(), slope, s.x.data(), s.y.data(), positive.data());
  reference::leaky_relu_backward(s.size(), slope, positive.data(), s.dy.data(), s.dx.data());
}

void sigmoid(const json&, State&, Step& s) {
  reference::sigmoid(s.size(), s.x.data(), s.y.data());
  reference::sigmoid_backward(s.size(), s.y.data(), s.dy.data(), s.dx.data());
}

void hyperbolic_tangent(const json&, State&, Step& s) {
  reference::hyperbolic_tangent(s.size(), s.x.data(), s.y.data());
  reference::hyperbolic_tangent_backward(s.size(), s.y.data(), s.dy.data(), s.dx.data());
}

// PyTorch's random numbers are others: what it trains here has p = 0, and evaluation drops nothing either.
void dropout(Index unit, Step& s) {
  std::vector<std::uint8_t> kept(reference::mask_bytes(s.size() / unit));
  reference::draw_dropout_mask(1, 2, 0, s.size() / unit, kept.data());
  reference::dropout(s.size(), unit, 0, kept.data(), s.x.data(), s.y.data());
  reference::dropout(s.size(), unit, 0, kept.data(), s.dy.data(), s.dx.data());
}

reference::PoolingShape pooling_shape(const json& a, const Step& s) {
  std::optional<Size2D> stride;
  Size2D padding = 0;
  read(a, "stride", stride);
  read(a, "padding", padding);
  return reference::PoolingShape::of(s.x.shape(), pytorch::to_size(a.at("window")), stride, padding);
}

void max_pool(const json& a, State&, Step& s) {
  const auto shape = pooling_shape(a, s);
  ASSERT_EQ(shape.planes * shape.out_size(), static_cast<Index>(s.dy.size()));
  std::vector<Index> places(s.dy.size());
  reference::max_pool(shape, s.x.data(), s.y.data(), places.data());
  reference::max_pool_backward(shape, s.dy.data(), places.data(), s.dx.data());
}

void average_pool(const json& a, State&, Step& s) {
  const auto shape = pooling_shape(a, s);
  ASSERT_EQ(shape.planes * shape.out_size(), static_cast<Index>(s.dy.size()));
  bool count_include_pad = true;
  read(a, "count_include_pad", count_include_pad);
  reference::average_pool(shape, count_include_pad, s.x.data(), s.y.data());
  reference::average_pool_backward(shape, count_include_pad, s.dy.data(), s.dx.data());
}

void global_average_pool(const json&, State&, Step& s) {
  const Size2D size = size_of(s.x);
  reference::global_average_pool(planes_of(s.x), size.h * size.w, s.x.data(), s.y.data());
  reference::global_average_pool_backward(planes_of(s.x), size.h * size.w, s.dy.data(), s.dx.data());
}

void upsample(const json& a, State&, Step& s) {
  const Size2D scale = pytorch::to_size(a.at("scale"));
  reference::upsample(planes_of(s.x), size_of(s.x), scale, s.x.data(), s.y.data());
  reference::upsample_backward(planes_of(s.x), size_of(s.x), scale, s.dy.data(), s.dx.data());
}

const std::map<std::string, std::function<void(const json&, State&, Step&)>> kReferences = {
    {"Conv2D", convolution<false>},
    {"ConvTranspose2D", convolution<true>},
    {"Linear", linear},
    {"BatchNorm1D", batch_norm},
    {"SpatialBatchNorm", batch_norm},
    {"InstanceNorm2D", instance_norm},
    {"GroupNorm", group_norm},
    {"LayerNorm", layer_norm},
    {"ReLU", [](const json& a, State&, Step& s) { leaky_relu(a, 0, s); }},
    {"LeakyReLU", [](const json& a, State&, Step& s) { leaky_relu(a, 0.01, s); }},
    {"Sigmoid", sigmoid},
    {"Tanh", hyperbolic_tangent},
    {"Dropout", [](const json&, State&, Step& s) { dropout(1, s); }},
    {"Dropout2D", [](const json&, State&, Step& s) { dropout(size_of(s.x).h * size_of(s.x).w, s); }},
    {"MaxPool2D", max_pool},
    {"AvgPool2D", average_pool},
    {"GlobalAvgPool2D", global_average_pool},
    {"Upsample2D", upsample},
};

class ReferenceAgainstPyTorch : public testing::TestWithParam<Case> {};

TEST_P(ReferenceAgainstPyTorch, ForwardAndBackward) {
  const json expected = pytorch::load(GetParam());
  State state;
  for (const auto& [name, value] : expected.at("state").items())
    if (name != "num_batches_tracked") state.tensors[name] = pytorch::to_tensor(value);
  int index = 0;
  for (const json& want : expected.at("steps")) {
    SCOPED_TRACE("step " + std::to_string(index++));
    Step step{.training = want.at("training").get<bool>(),
              .x = pytorch::to_tensor(want.at("x")),
              .dy = pytorch::to_tensor(want.at("dy")),
              .y = {},
              .dx = {},
              .gradients = {}};
    step.y = full<double>(step.dy.shape(), NAN);
    step.dx = full<double>(step.x.shape(), NAN);
    kReferences.at(GetParam().file)(expected.at("arguments"), state, step);
    EXPECT_TRUE(pytorch::near(step.y, want.at("y"))) << "y";
    EXPECT_TRUE(pytorch::near(step.dx, want.at("dx"))) << "dx";
    EXPECT_EQ(step.gradients.size(), want.at("gradients").size());
    for (const auto& [name, gradient] : step.gradients)
      EXPECT_TRUE(pytorch::near(gradient, want.at("gradients").at(name))) << "gradient of " << name;
    for (const char* const name : {"running_mean", "running_var"})
      if (state.has(name)) {
        EXPECT_TRUE(pytorch::near(state.at(name), want.at("buffers").at(name))) << name;
      }
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const auto& [file, reference] : kReferences)
    for (const Case& which : pytorch::cases(file)) all.push_back(which);
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, ReferenceAgainstPyTorch, testing::ValuesIn(all_cases()),
                         [](const auto& instance) {
                           return instance.param.file + "_" + instance.param.name;
                         });

TEST(ReferenceAgainstPyTorchFiles, HoldSixCasesOfEveryReference) {
  for (const auto& [file, reference] : kReferences) EXPECT_GE(pytorch::case_names(file).size(), 6u) << file;
}

}  // namespace
}  // namespace strata
