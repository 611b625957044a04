// Are all gradients right? Every layer, join and loss against differences, in both modes, in one table.

#include <cstdio>
#include <iostream>
#include <strata/framework/text_table.hpp>
#include <strata/strata.hpp>

#include <CLI/CLI.hpp>

#include "support/program.hpp"

namespace st = strata;
using Tensors = std::vector<st::Tensor<double>>;

namespace {

std::uint64_t seed = 0;
st::GradientCheckOptions check;
bool verbose = false;
bool all_passed = true;
std::vector<std::vector<std::string>> rows{{"", "options", "input", "training", "evaluation", ""}};

st::Tensor<double> random_input(const st::Shape& shape) {
  return st::Random(st::combine_seeds(seed, "input")).normal<double>(shape);
}

// Gamma = 1, beta = 0 and fresh running averages would hide mistakes.
void randomize(st::Layer<double>& layer) {
  st::Random random(st::combine_seeds(seed, "state"));
  for (st::Parameter<double>* parameter : layer.parameters())
    parameter->value = random.normal<double>(parameter->value.shape(), 0, 0.7);
  for (const st::Buffer<double>& buffer : layer.named_buffers())
    if (const auto* tensor = std::get_if<st::Tensor<double>*>(&buffer.value))
      **tensor = buffer.name.ends_with("var") ? random.uniform<double>((*tensor)->shape(), 0.5, 2)
                                              : random.normal<double>((*tensor)->shape());
}

void add_row(const std::string& name, const std::string& options, const std::string& input,
             const st::GradientReport& report) {
  if (verbose) std::cout << report << '\n';
  std::vector<std::string> cells{name, options, input};
  for (const char* mode : {"training", "evaluation"}) {
    double worst = -1;
    for (const st::GradientCheckRow& row : report.rows)
      if (row.mode == mode || row.mode == "any") worst = std::max(worst, row.error);
    char text[16] = "";
    if (worst >= 0) std::snprintf(text, sizeof text, "%.0e", worst);
    cells.emplace_back(text);
  }
  cells.emplace_back(report.passed() ? "ok" : "FAIL");
  rows.push_back(std::move(cells));
  all_passed = all_passed && report.passed();
}

template <class L>
void layer(L layer, const st::Shape& input) {
  randomize(layer);
  add_row(layer.type(), layer.options(), st::to_string(input),
          st::check_gradients(layer, random_input(input), check));
}

void join(const st::Join<double>& join, const std::vector<st::Shape>& shapes) {
  Tensors inputs;
  std::string text;
  for (const st::Shape& shape : shapes) {
    inputs.push_back(random_input(shape));
    text += (text.empty() ? "" : " ") + st::to_string(shape);
  }
  add_row(join.type(), "", text, st::check_gradients(join, inputs, check));
}

void loss(const char* name, const char* options, const st::Loss<double>& loss) {
  add_row(name, options, "(4, 3)", st::check_gradients(loss, random_input({4, 3}), {2, 0, 1, 1}, check));
}

void check_all() {
  using T = double;
  layer(st::Linear<T>{5, 4}, {3, 5});
  layer(st::Linear<T>{5, 4, {.bias = false}}, {1, 5});

  layer(st::Conv2D<T>{3, 4, 3, {.padding = 1}}, {2, 3, 5, 4});
  layer(st::Conv2D<T>{2, 3, {3, 2}, {.stride = 2, .padding = {1, 0}, .bias = false}}, {2, 2, 7, 6});
  layer(st::Conv2D<T>{4, 6, 3, {.padding = 2, .dilation = 2, .groups = 2}}, {1, 4, 6, 5});
  layer(st::Conv2D<T>{1, 1, {1, 2}, {.stride = 3}}, {2, 1, 1, 8});
  layer(st::ConvTranspose2D<T>{3, 2, 3, {.stride = 2, .padding = 1, .output_padding = 1}}, {2, 3, 3, 4});
  layer(st::ConvTranspose2D<T>{4, 2, 2, {.dilation = 2, .groups = 2, .bias = false}}, {1, 4, 3, 3});

  layer(st::BatchNorm1D<T>{4}, {5, 4});
  layer(st::BatchNorm1D<T>{3, {.momentum = std::nullopt}}, {2, 3, 4});
  layer(st::SpatialBatchNorm<T>{3}, {2, 3, 4, 5});
  layer(st::SpatialBatchNorm<T>{2, {.affine = false}}, {3, 2, 2, 2});
  layer(st::SpatialBatchNorm<T>{2, {.track_running_stats = false}}, {1, 2, 1, 6});
  layer(st::InstanceNorm2D<T>{3}, {2, 3, 4, 5});
  layer(st::InstanceNorm2D<T>{2, {.track_running_stats = true}}, {2, 2, 1, 4});
  layer(st::GroupNorm<T>{2, 4}, {2, 4, 3, 2});
  layer(st::LayerNorm<T>{st::Shape{3, 4}}, {2, 3, 4});

  layer(st::ReLU<T>{}, {3, 2, 4, 3});
  layer(st::LeakyReLU<T>{0.1}, {3, 2, 4, 3});
  layer(st::Sigmoid<T>{}, {3, 7});
  layer(st::Tanh<T>{}, {3, 7});
  layer(st::Dropout<T>{0.4}, {4, 10});
  layer(st::Dropout2D<T>{0.4}, {4, 5, 2, 2});

  layer(st::MaxPool2D<T>{2}, {2, 3, 4, 6});
  layer(st::MaxPool2D<T>{3, {.stride = 2, .padding = 1}}, {2, 2, 5, 6});
  layer(st::AvgPool2D<T>{2}, {2, 3, 4, 6});
  layer(st::AvgPool2D<T>{3, {.stride = 2, .padding = 1, .count_include_pad = false}}, {2, 2, 5, 6});
  layer(st::GlobalAvgPool2D<T>{}, {2, 3, 4, 5});
  layer(st::Upsample2D<T>{{2, 3}}, {2, 2, 3, 2});
  layer(st::Flatten<T>{}, {2, 3, 2, 2});

  join(st::Add<T>{}, {{2, 3, 2, 2}, {2, 3, 2, 2}, {2, 3, 2, 2}});
  join(st::Concat<T>{}, {{2, 3, 2, 2}, {2, 1, 2, 2}});

  loss("SoftmaxCrossEntropy", "", st::SoftmaxCrossEntropy<T>{});
  loss("SoftmaxCrossEntropy", "label smoothing 0.1", st::SoftmaxCrossEntropy<T>{{.label_smoothing = 0.1}});
  loss("MulticlassHinge", "", st::MulticlassHinge<T>{});
  const auto target = st::Random(1).normal<T>({3, 5});
  add_row("MeanSquaredError", "", "(3, 5)",
          st::check_gradients([&](const st::Tensor<T>& x) { return st::MeanSquaredError<T>{}(x, target); },
                              random_input({3, 5}), check));

  // Layers above and below one another, and branches.
  layer(st::Sequential<T>{st::Conv2D<T>{2, 4, 3, {.padding = 1}}, st::SpatialBatchNorm<T>{4}, st::ReLU<T>{},
                          st::MaxPool2D<T>{2}, st::Flatten<T>{}, st::Linear<T>{16, 5}, st::BatchNorm1D<T>{5},
                          st::Tanh<T>{}, st::Dropout<T>{0.3}, st::Linear<T>{5, 3}},
        {3, 2, 4, 4});
  st::Graph<T> residual;
  residual.input("x")
      .add("conv1", st::Conv2D<T>{2, 2, 3, {.padding = 1}}, "x")
      .add("norm1", st::InstanceNorm2D<T>{2}, "conv1")
      .add("relu1", st::ReLU<T>{}, "norm1")
      .add("conv2", st::Conv2D<T>{2, 2, 3, {.padding = 1}}, "relu1")
      .join("sum", st::Add<T>{}, {"conv2", "x"})
      .add("relu", st::ReLU<T>{}, "sum")
      .output("relu");
  layer(std::move(residual), {2, 2, 4, 3});
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Checks the gradient of every layer, join and loss against central differences, in double, in\n"
      "training and evaluation mode. Each number is the largest relative error over the input and all\n"
      "parameters. Exit status 1 if one is above the tolerance."};
  app.add_option("--tolerance", check.tolerance, "The largest relative error to pass")->capture_default_str();
  app.add_option("--seed", seed, "Of inputs, parameters and running averages")->capture_default_str();
  app.add_flag("--verbose", verbose, "Also print each check: one row a tensor, with the worst element");
  return st::support::run(app, argc, argv, [&] {
    check.seed = seed;
    check_all();
    using enum st::Align;
    std::cout << st::table(rows, {left, left, left, right, right, left})
              << (all_passed ? "all gradients are right\n" : "some gradients are WRONG\n");
    return all_passed ? 0 : 1;
  });
}
