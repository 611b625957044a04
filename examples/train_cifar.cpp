// Trains a convolutional network on images and measures it on images that it has not seen: the main job.
#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <map>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "models/cifar.hpp"

namespace st = strata;

namespace {

struct Options {
  std::string dataset = "fashion-mnist";
  std::string data;
  std::string model = "vgg";
  st::models::Norm norm = st::models::Norm::batch;
  std::string optimizer = "nesterov";
  std::optional<double> learning_rate;
  double weight_decay = 5e-4;
  std::string schedule = "one-cycle";
  st::Index epochs = 3;
  st::Index batch_size = 64;
  std::vector<std::string> augment = {"flip"};
  double label_smoothing = 0;
  std::uint64_t seed = 0;
  int threads = 0;
  st::Index limit = 0;
  std::string history;
};

CLI::App_p make_command_line(Options& o) {
  const std::map<std::string, st::models::Norm> norms{{"batch", st::models::Norm::batch},
                                                      {"instance", st::models::Norm::instance},
                                                      {"group", st::models::Norm::group},
                                                      {"none", st::models::Norm::none}};
  auto app = std::make_shared<CLI::App>(
      "Trains a convolutional network on images, keeps the best model on held-out validation images, and\n"
      "measures it on the test set. Exit status: 0, or 1 if training failed (a value became NaN or\n"
      "infinite), or 2 for wrong arguments or files.");
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
      ->check(CLI::NonNegativeNumber)
      ->group("Data");
  app->add_option("--model", o.model)->check(CLI::IsMember({"quick", "vgg", "resnet"}))->group("Network");
  app->add_option("--norm", o.norm, "normalization: batch, instance, group or none")
      ->transform(CLI::CheckedTransformer(norms).description(""))
      ->default_str("batch")
      ->group("Network");
  app->add_option("--optimizer", o.optimizer)
      ->check(CLI::IsMember({"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"}))
      ->group("Training");
  app->add_option("--lr", o.learning_rate, "peak learning rate; if not given, one that suits the optimizer")
      ->check(CLI::NonNegativeNumber)
      ->group("Training");
  app->add_option("--weight-decay", o.weight_decay)->check(CLI::NonNegativeNumber)->group("Training");
  app->add_option("--schedule", o.schedule)
      ->check(CLI::IsMember({"constant", "step", "exponential", "cosine", "one-cycle", "warmup", "plateau"}))
      ->group("Training");
  app->add_option("--label-smoothing", o.label_smoothing)->check(CLI::Range(0.0, 1.0))->group("Training");
  app->add_option("--epochs", o.epochs)->check(CLI::PositiveNumber)->group("Training");
  app->add_option("--batch-size", o.batch_size)->check(CLI::PositiveNumber)->group("Training");
  app->add_option("--seed", o.seed, "same seed, same bits")->group("Training");
  app->add_option("--threads", o.threads, "0: as many as physical cores")
      ->check(CLI::NonNegativeNumber)
      ->group("Training");
  app->add_option("--history", o.history, "write a line for each epoch to this CSV file")->group("Output");
  return app;
}

st::TrainTest load(const Options& o) {
  if (o.dataset == "synthetic") return {st::synthetic(10000, o.seed), st::synthetic(2000, o.seed + 1)};
  if (o.dataset == "cifar10") {
    if (o.data.empty())
      throw st::ArgumentError("--dataset cifar10 needs --data, the folder of its binary files");
    return st::cifar10(o.data);
  }
  return o.data.empty() ? st::fashion_mnist() : st::fashion_mnist(o.data);
}

std::unique_ptr<st::Layer<float>> make_model(const Options& o, const st::Shape& sample, st::Index classes) {
  const auto boxed = []<class Net>(Net net) { return std::make_unique<Net>(std::move(net)); };
  if (o.model == "quick") return boxed(st::models::quick<float>(sample, classes, o.norm));
  if (o.model == "resnet") return boxed(st::models::resnet<float>(sample, classes, o.norm));
  return boxed(st::models::vgg<float>(sample, classes, o.norm));
}

// Without normalization a network stands a lower rate only.
double learning_rate(const Options& o) {
  if (o.learning_rate) return *o.learning_rate;
  if (o.optimizer == "adagrad") return 1e-2;
  if (o.optimizer == "rmsprop" || o.optimizer == "adam" || o.optimizer == "adamw") return 1e-3;
  return o.norm == st::models::Norm::none ? 0.01 : 0.1;
}

std::unique_ptr<st::Optimizer<float>> make_optimizer(const Options& o) {
  const double rate = learning_rate(o), decay = o.weight_decay;
  if (o.optimizer == "adagrad")
    return std::make_unique<st::Adagrad<float>>(
        st::AdagradOptions{.learning_rate = rate, .weight_decay = decay});
  if (o.optimizer == "rmsprop")
    return std::make_unique<st::RMSProp<float>>(
        st::RMSPropOptions{.learning_rate = rate, .weight_decay = decay});
  if (o.optimizer == "adam")
    return std::make_unique<st::Adam<float>>(st::AdamOptions{.learning_rate = rate, .weight_decay = decay});
  if (o.optimizer == "adamw")
    return std::make_unique<st::AdamW<float>>(st::AdamWOptions{.learning_rate = rate, .weight_decay = decay});
  return std::make_unique<st::SGD<float>>(st::SGDOptions{.learning_rate = rate,
                                                         .momentum = o.optimizer == "sgd" ? 0 : 0.9,
                                                         .weight_decay = decay,
                                                         .nesterov = o.optimizer == "nesterov"});
}

st::Cloned<st::Schedule> make_schedule(const Options& o) {
  const auto third = st::epochs(std::max(1.0, static_cast<double>(o.epochs) / 3));
  if (o.schedule == "step") return st::StepDecay{third};
  if (o.schedule == "exponential") return st::ExponentialDecay{0.1, third};
  if (o.schedule == "cosine") return st::CosineDecay{};
  if (o.schedule == "one-cycle") return st::OneCycle{};
  if (o.schedule == "warmup") return st::Warmup{st::epochs(0.5), st::CosineDecay{}};
  if (o.schedule == "plateau") return st::ReduceOnPlateau{{.patience = 2}};
  return st::ConstantRate{};
}

st::Augmentation make_augmentation(const Options& o) {
  st::Augmentation augmentation;
  for (const std::string& name : o.augment) {
    if (name == "flip") augmentation.horizontal_flip = true;
    if (name == "crop") augmentation.crop_padding = 4;
    if (name == "cutout") augmentation.cutout = 8;
  }
  return augmentation;
}

std::string duration(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

// The line that tells how training goes: rewritten in place on a terminal, now and then elsewhere.
class Progress {
 public:
  void show(const st::StepReport& step) {
    const auto now = std::chrono::steady_clock::now();
    if (now - shown_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10))) return;
    shown_ = now;
    const std::string line = fmt::format(
        "epoch {}/{}  step {:>4}/{}  loss {:.4f}  {:>5.0f} images/s  learning rate {:.4f}  {} left",
        step.epoch, step.epochs, step.step, step.steps_per_epoch, step.loss, step.samples_per_second,
        step.learning_rate, duration(step.seconds_left));
    fmt::print("{}{:<100}{}", terminal_ ? "\r" : "", line, terminal_ ? "" : "\n");
    std::fflush(stdout);
  }

  void show(const st::EpochReport& epoch) {
    const st::EpochRecord& r = epoch.record;
    const std::string line = fmt::format(
        "epoch {}/{}  loss {:.4f}  training accuracy {:.4f}  validation loss {:.4f}  accuracy {:.4f}{}  {}",
        r.epoch, epoch.epochs, r.train_loss, r.train_accuracy, r.validation_loss, r.validation_accuracy,
        epoch.best ? " (best)" : "", duration(r.seconds));
    fmt::print("{}{:<100}\n", terminal_ ? "\r" : "", line);
    std::fflush(stdout);
  }

 private:
  bool terminal_ = isatty(STDOUT_FILENO) != 0;
  std::chrono::steady_clock::time_point shown_{};
};

void train(const Options& o) {
  if (o.threads > 0) st::set_num_threads(o.threads);
  const st::TrainTest data = load(o);
  std::shared_ptr<const st::Dataset> train_set = data.train, test_set = data.test;
  if (o.limit > 0) {
    train_set = st::take(train_set, o.limit);
    test_set = st::take(test_set, o.limit);
  }
  // A tenth of the training images, 5000 at most, chooses the best epoch; the test images are used once.
  const st::Split split =
      st::split(train_set, std::clamp<st::Index>(train_set->size() / 10, 1, 5000), o.seed);
  const st::Standardization standardization = st::standardization_of(*split.train);

  const auto net = make_model(o, train_set->sample_shape(), train_set->classes());
  net->initialize(o.seed);
  fmt::print(
      "{} images to train on, {} to validate, {} to test; {} has {} parameters; {} thread{}, {} kernels\n",
      split.train->size(), split.validation->size(), test_set->size(), o.model, net->parameter_count(),
      st::num_threads(), st::num_threads() == 1 ? "" : "s", st::to_string(st::instruction_set()));

  Progress progress;
  st::Solver<float> solver{*net,
                           split,
                           *make_optimizer(o),
                           {.epochs = o.epochs,
                            .batch_size = o.batch_size,
                            .seed = o.seed,
                            .schedule = make_schedule(o),
                            .loss = st::SoftmaxCrossEntropy<float>{{.label_smoothing = o.label_smoothing}},
                            .augmentation = make_augmentation(o),
                            .standardization = standardization,
                            .after_step = [&](st::StepReport& step) { progress.show(step); },
                            .after_epoch = [&](st::EpochReport& epoch) { progress.show(epoch); }}};
  const auto start = std::chrono::steady_clock::now();
  const st::History history = solver.train();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (!o.history.empty()) history.write_csv(o.history);

  const st::Evaluation test = st::evaluate(*net, test_set, {.standardization = standardization});
  st::ConfusionMatrix confusion(test_set->classes());
  st::Labels labels;
  for (st::Index i = 0; i < test_set->size(); ++i) labels.push_back(test_set->label(i));
  confusion.add(labels, test.predictions);

  fmt::print("\n{:<14}{:>8}{:>11}\n", "class", "recall", "precision");
  for (st::Index c = 0; c < test_set->classes(); ++c)
    fmt::print("{:<14}{:>8.4f}{:>11.4f}\n", test_set->class_name(c), confusion.recall(c),
               confusion.precision(c));
  fmt::print("\ntrained for {} in all; best epoch {} of {}; test loss {:.4f}\n", duration(took.count()),
             history.best_epoch, history.epochs.size(), test.loss);
  fmt::print("test accuracy {:.4f}\n", test.accuracy);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const auto command_line = make_command_line(options);
  try {
    command_line->parse(argc, argv);
    train(options);
    return 0;
  } catch (const CLI::ParseError& error) {
    return command_line->exit(error) == 0 ? 0 : 2;
  } catch (const st::NotFiniteError& error) {
    fmt::print(stderr, "train_cifar: {}\n", error.what());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "train_cifar: {}\n", error.what());
    return 2;
  }
}
