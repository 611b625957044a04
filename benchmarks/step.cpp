// Times the training step of a model; prints one JSON line a round, as benchmarks/peers/pytorch_step.py does.
#include <chrono>
#include <iostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "models/cifar.hpp"

namespace st = strata;

namespace {

struct Options {
  std::string model = "vgg";
  st::Index batch = 64;
  st::Index image = 32;
  int threads = 2;
  int rounds = 20;
  int warmup = 5;
};

std::unique_ptr<st::Layer<float>> make_model(const std::string& name, const st::Shape& sample) {
  if (name == "quick") return std::make_unique<st::Sequential<float>>(st::models::quick<float>(sample, 10));
  if (name == "resnet") return std::make_unique<st::Graph<float>>(st::models::resnet<float>(sample, 10));
  return std::make_unique<st::Sequential<float>>(st::models::vgg<float>(sample, 10));
}

void measure(const Options& options) {
  st::set_num_threads(options.threads);
  const auto side = static_cast<std::size_t>(options.image);
  const st::Shape sample{3, side, side};
  const auto net = make_model(options.model, sample);
  net->initialize(0);

  st::Random random(1);
  const auto images = random.normal<float>({static_cast<std::size_t>(options.batch), 3, side, side});
  st::Labels labels;
  for (st::Index i = 0; i < options.batch; ++i) labels.push_back(static_cast<std::int32_t>(random.below(10)));
  const st::SoftmaxCrossEntropy<float> loss;
  st::SGD<float> optimizer{{.learning_rate = 0.01, .momentum = 0.9}};
  const auto parameters = net->parameters();

  for (int round = -options.warmup; round < options.rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    auto result = loss(net->forward(images), labels);
    net->backward_parameters(std::move(result.gradient));
    optimizer.step(parameters);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    if (round >= 0) std::cout << nlohmann::json{{"ms", took.count()}, {"loss", result.value}} << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Times the training step of a model: forward, loss, backward, SGD with momentum."};
  Options options;
  app.add_option("--model", options.model)
      ->check(CLI::IsMember({"vgg", "quick", "resnet"}))
      ->capture_default_str();
  app.add_option("--batch", options.batch)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--image", options.image, "height and width")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--rounds", options.rounds)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--warmup", options.warmup)->check(CLI::NonNegativeNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  measure(options);
}
