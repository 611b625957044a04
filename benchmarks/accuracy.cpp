// Trains vgg on Fashion-MNIST until it recognizes so many of the test images, by train_cifar's recipe on all
// training images. Prints a line of JSON when its clock starts, before the files are read, and one an epoch.
#include <cstdint>
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "models/cifar.hpp"

namespace st = strata;

namespace {

struct Options {
  std::string data;
  st::Index epochs = 3;
  int threads = 2;
  double target = 0.92;
  st::Index limit = 0;
};

void train(const Options& options) {
  std::cout << nlohmann::json{{"epoch", 0}} << std::endl;
  st::set_num_threads(options.threads);
  const st::TrainTest data = st::fashion_mnist(options.data);
  const auto images = options.limit > 0 ? st::take(data.train, options.limit) : data.train;
  auto net = st::models::vgg<float>(images->sample_shape(), images->classes());
  net.initialize(0);
  st::Solver<float> solver{
      net,
      {images, data.test},
      st::SGD<float>{{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 5e-4, .nesterov = true}},
      {.epochs = options.epochs,
       .batch_size = 64,
       .schedule = st::OneCycle{},
       .augmentation = {.horizontal_flip = true},
       .standardization = st::standardization_of(*images),
       .keep_best = false,
       .after_epoch = [&](st::EpochReport& epoch) {
         const double accuracy = epoch.record.validation_accuracy;
         std::cout << nlohmann::json{{"epoch", epoch.record.epoch}, {"accuracy", accuracy}} << std::endl;
         epoch.stop = accuracy >= options.target;
       }}};
  solver.train();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Trains vgg on Fashion-MNIST to a test accuracy."};
  Options options;
  app.add_option("--data", options.data, "folder of the dataset's files")->required();
  app.add_option("--epochs", options.epochs)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--target", options.target)->check(CLI::Range(0.0, 1.0))->capture_default_str();
  app.add_option("--limit", options.limit, "train on so many images; 0: all")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  train(options);
}
