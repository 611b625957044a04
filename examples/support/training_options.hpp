// The options of train_cifar, and what is made of them.
#pragma once

#include <map>

#include <CLI/CLI.hpp>

#include "models/cifar.hpp"

namespace strata::support {

struct TrainingOptions {
  std::string dataset = "fashion-mnist";
  std::string data;
  std::string model = "vgg";
  models::Norm norm = models::Norm::batch;
  std::string optimizer = "nesterov";
  std::optional<double> learning_rate;
  double weight_decay = 5e-4;
  std::string schedule = "one-cycle";
  Index epochs = 4;
  Index batch_size = 64;
  std::vector<std::string> augment = {"flip"};
  double label_smoothing = 0;
  std::uint64_t seed = 0;
  int threads = 0;
  Index limit = 0;
  std::string history;
  std::string save;
  std::string checkpoint;
  Index checkpoint_every = 200;
  Index keep = 3;
  bool resume = false;
};

CLI::App_p make_command_line(TrainingOptions& o);

TrainTest load(const TrainingOptions& o);
std::unique_ptr<Layer<float>> make_model(const TrainingOptions& o, const Shape& sample, Index classes);
std::unique_ptr<Optimizer<float>> make_optimizer(const TrainingOptions& o);
Cloned<Schedule> make_schedule(const TrainingOptions& o);
Augmentation make_augmentation(const TrainingOptions& o);

/// What the Solver does not know, or not in the words of the command line: a checkpoint of other ones must
/// not be continued. A schedule that is stretched over the training depends on the epochs.
std::map<std::string, std::string> run_options(const TrainingOptions& o);

}  // namespace strata::support
