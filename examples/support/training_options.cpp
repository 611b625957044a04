#include "support/training_options.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "support/number_checks.hpp"

namespace strata::support {
namespace {

const std::map<std::string, models::Norm>& norms() {
  static const std::map<std::string, models::Norm> all{{"batch", models::Norm::batch},
                                                       {"instance", models::Norm::instance},
                                                       {"group", models::Norm::group},
                                                       {"none", models::Norm::none}};
  return all;
}

// Without normalization a network stands a lower rate only.
double learning_rate(const TrainingOptions& o) {
  if (o.learning_rate) return *o.learning_rate;
  if (o.optimizer == "adagrad") return 1e-2;
  if (o.optimizer == "rmsprop" || o.optimizer == "adam" || o.optimizer == "adamw") return 1e-3;
  return o.norm == models::Norm::none ? 0.01 : 0.1;
}

}  // namespace

CLI::App_p make_command_line(TrainingOptions& o) {
  auto app = std::make_shared<CLI::App>(
      "Trains a convolutional network on images, keeps the best model on held-out validation images, and\n"
      "measures it on the test set.\n"
      "Ctrl-C (SIGINT or SIGTERM) finishes the step, writes a checkpoint if there is a folder for them, and\n"
      "leaves; a second one leaves at once. Exit status: 0, or 1 if training failed (a value became NaN or\n"
      "infinite), or 2 for wrong arguments or files, or 130 if it was stopped.");
  app->option_defaults()->always_capture_default();
  app->add_option("--dataset", o.dataset)
      ->check(CLI::IsMember({"fashion-mnist", "cifar10", "synthetic"}))
      ->group("Data");
  app->add_option("--data", o.data, "folder of the dataset's files (fashion-mnist: Debian's, if not given)")
      ->group("Data");
  app->add_option("--augment", o.augment, "changes to training images: none, or some of flip,crop,cutout")
      ->delimiter(',')
      ->check(CLI::IsMember({"none", "flip", "crop", "cutout"}))
      ->group("Data");
  app->add_option("--limit", o.limit, "use only so many training and test images; 0: all")
      ->check(at_least_zero())
      ->group("Data");
  app->add_option("--model", o.model)->check(CLI::IsMember({"quick", "vgg", "resnet"}))->group("Network");
  app->add_option("--norm", o.norm, "normalization: batch, instance, group or none")
      ->transform(CLI::CheckedTransformer(norms()).description(""))
      ->default_str("batch")
      ->group("Network");
  app->add_option("--optimizer", o.optimizer)
      ->check(CLI::IsMember({"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"}))
      ->group("Training");
  app->add_option("--lr", o.learning_rate, "peak learning rate; if not given, one that suits the optimizer")
      ->check(at_least_zero())
      ->group("Training");
  app->add_option("--weight-decay", o.weight_decay)->check(at_least_zero())->group("Training");
  app->add_option("--schedule", o.schedule)
      ->check(CLI::IsMember({"constant", "step", "exponential", "cosine", "one-cycle", "warmup", "plateau"}))
      ->group("Training");
  app->add_option("--label-smoothing", o.label_smoothing)->check(CLI::Range(0.0, 1.0))->group("Training");
  app->add_option("--epochs", o.epochs)->check(above_zero())->group("Training");
  app->add_option("--batch-size", o.batch_size)->check(above_zero())->group("Training");
  app->add_option("--seed", o.seed, "same seed, same bits")->group("Training");
  app->add_option("--threads", o.threads, "0: as many as physical cores")
      ->check(at_least_zero())
      ->group("Training");
  app->add_option("--history", o.history, "write a line for each epoch to this CSV file")->group("Output");
  app->add_option("--save", o.save, "write the final weights to this safetensors file")->group("Output");
  auto* checkpoint = app->add_option("--checkpoint", o.checkpoint,
                                     "keep the last checkpoints and the best weights in this folder")
                         ->group("Checkpoints");
  app->add_option("--checkpoint-every", o.checkpoint_every, "steps between two; besides, one ends each epoch")
      ->check(above_zero())
      ->needs(checkpoint)
      ->group("Checkpoints");
  app->add_option("--keep", o.keep, "how many of them are kept")
      ->check(above_zero())
      ->needs(checkpoint)
      ->group("Checkpoints");
  app->add_flag(
         "--resume", o.resume,
         "go on from the folder's newest checkpoint, if there is one, with the bits of an uninterrupted run")
      ->needs(checkpoint)
      ->group("Checkpoints");
  return app;
}

TrainTest load(const TrainingOptions& o) {
  if (o.dataset == "synthetic") {
    const auto count = [&](Index all) { return o.limit > 0 ? std::min(o.limit, all) : all; };
    return {synthetic(count(10000), o.seed), synthetic(count(2000), o.seed + 1)};
  }
  if (o.dataset == "cifar10") {
    if (o.data.empty()) throw ArgumentError("--dataset cifar10 needs --data, the folder of its binary files");
    return cifar10(o.data);
  }
  return o.data.empty() ? fashion_mnist() : fashion_mnist(o.data);
}

std::unique_ptr<Layer<float>> make_model(const TrainingOptions& o, const Shape& sample, Index classes) {
  const auto boxed = []<class Net>(Net net) { return std::make_unique<Net>(std::move(net)); };
  if (o.model == "quick") return boxed(models::quick<float>(sample, classes, o.norm));
  if (o.model == "resnet") return boxed(models::resnet<float>(sample, classes, o.norm));
  return boxed(models::vgg<float>(sample, classes, o.norm));
}

std::unique_ptr<Optimizer<float>> make_optimizer(const TrainingOptions& o) {
  const double rate = learning_rate(o), decay = o.weight_decay;
  if (o.optimizer == "adagrad")
    return std::make_unique<Adagrad<float>>(AdagradOptions{.learning_rate = rate, .weight_decay = decay});
  if (o.optimizer == "rmsprop")
    return std::make_unique<RMSProp<float>>(RMSPropOptions{.learning_rate = rate, .weight_decay = decay});
  if (o.optimizer == "adam")
    return std::make_unique<Adam<float>>(AdamOptions{.learning_rate = rate, .weight_decay = decay});
  if (o.optimizer == "adamw")
    return std::make_unique<AdamW<float>>(AdamWOptions{.learning_rate = rate, .weight_decay = decay});
  return std::make_unique<SGD<float>>(SGDOptions{.learning_rate = rate,
                                                 .momentum = o.optimizer == "sgd" ? 0 : 0.9,
                                                 .weight_decay = decay,
                                                 .nesterov = o.optimizer == "nesterov"});
}

Cloned<Schedule> make_schedule(const TrainingOptions& o) {
  const auto third = epochs(std::max(1.0, static_cast<double>(o.epochs) / 3));
  if (o.schedule == "step") return StepDecay{third};
  if (o.schedule == "exponential") return ExponentialDecay{0.1, third};
  if (o.schedule == "cosine") return CosineDecay{};
  if (o.schedule == "one-cycle") return OneCycle{};
  if (o.schedule == "warmup") return Warmup{epochs(0.5), CosineDecay{}};
  if (o.schedule == "plateau") return ReduceOnPlateau{{.patience = 2}};
  return ConstantRate{};
}

Augmentation make_augmentation(const TrainingOptions& o) {
  Augmentation augmentation;
  for (const std::string& name : o.augment) {
    if (name == "flip") augmentation.horizontal_flip = true;
    if (name == "crop") augmentation.crop_padding = 4;
    if (name == "cutout") augmentation.cutout = 8;
  }
  return augmentation;
}

std::map<std::string, std::string> run_options(const TrainingOptions& o) {
  const auto norm =
      std::find_if(norms().begin(), norms().end(), [&](const auto& n) { return n.second == o.norm; });
  std::map<std::string, std::string> options{
      {"dataset", o.dataset}, {"model", o.model}, {"norm", norm->first}};
  if (o.schedule != "constant" && o.schedule != "plateau") options["epochs"] = fmt::format("{}", o.epochs);
  return options;
}

}  // namespace strata::support
