// Trains a convolutional network on images and measures it on images that it has not seen: the main job.
#include <chrono>
#include <cstdio>
#include <fmt/format.h>

#include "models/cifar.hpp"
#include "support/program.hpp"
#include "support/progress.hpp"
#include "support/stop_signal.hpp"
#include "support/training_options.hpp"

namespace st = strata;
namespace support = strata::support;

namespace {

void resume(st::Solver<float>& solver) {
  const std::optional<st::ResumeReport> report = solver.resume();
  if (!report) {
    fmt::print("no checkpoint yet: training starts anew\n");
    std::fflush(stdout);
    return;
  }
  for (const std::string& damage : report->damaged) fmt::print("note: set aside: {}\n", damage);
  for (const std::string& remark : report->remarks) fmt::print("note: {}\n", remark);
  fmt::print("resumed after step {}: {}\n", solver.history().step_losses.size(), report->file);
  std::fflush(stdout);
}

// The exit status.
int train(const support::TrainingOptions& o) {
  if (o.threads > 0) st::set_num_threads(o.threads);
  if (!o.save.empty() && o.save == o.history)
    throw st::ArgumentError("--save and --history name the same file, '" + o.save + "'");
  for (const std::string& file : {o.save, o.history})
    if (!file.empty()) st::AtomicFile{file};  // if it cannot be written, say so before the work
  const st::TrainTest data = support::load(o);
  std::shared_ptr<const st::Dataset> train_set = data.train, test_set = data.test;
  if (o.limit > 0) {
    train_set = st::take(train_set, o.limit);
    test_set = st::take(test_set, o.limit);
  }
  // A tenth of the training images, 5000 at most, chooses the best epoch; the test images are used once.
  const st::Split split =
      st::split(train_set, std::clamp<st::Index>(train_set->size() / 10, 1, 5000), o.seed);
  const st::Standardization standardization = st::standardization_of(*split.train);

  const auto net = support::make_model(o, train_set->sample_shape(), train_set->classes());
  net->initialize(o.seed);
  fmt::print(
      "{} images to train on, {} to validate, {} to test\n{} has {} parameters; {} thread{}, {} kernels\n",
      split.train->size(), split.validation->size(), test_set->size(), o.model, net->parameter_count(),
      st::num_threads(), st::num_threads() == 1 ? "" : "s", st::to_string(st::instruction_set()));

  std::optional<st::CheckpointOptions> checkpoints;
  if (!o.checkpoint.empty())
    checkpoints = {.folder = o.checkpoint,
                   .every = st::steps(o.checkpoint_every),
                   .keep_last = o.keep,
                   .run_options = support::run_options(o)};
  std::optional<support::StopSignal> stop(std::in_place);
  std::optional<support::Progress> progress(std::in_place);
  st::Solver<float> solver{*net,
                           split,
                           *support::make_optimizer(o),
                           {.epochs = o.epochs,
                            .batch_size = o.batch_size,
                            .seed = o.seed,
                            .schedule = support::make_schedule(o),
                            .loss = st::SoftmaxCrossEntropy<float>{{.label_smoothing = o.label_smoothing}},
                            .augmentation = support::make_augmentation(o),
                            .standardization = standardization,
                            .checkpoints = checkpoints,
                            .after_step =
                                [&](st::StepReport& step) {
                                  progress->show(step);
                                  step.stop = stop->received();
                                },
                            .after_epoch =
                                [&](st::EpochReport& epoch) {
                                  progress->show(epoch);
                                  epoch.stop = stop->received();
                                }}};
  if (o.resume) resume(solver);
  const auto start = std::chrono::steady_clock::now();
  const st::History history = solver.train();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  progress.reset();
  if (stop->received()) {
    fmt::print("stopped after {} steps; {}\n", history.step_losses.size(),
               checkpoints ? "--resume goes on from there" : "nothing is kept without --checkpoint");
    return support::kStopped;
  }
  stop.reset();
  if (!o.save.empty()) st::save_weights(*net, o.save);
  if (!o.history.empty()) history.write_csv(o.history);

  const st::Evaluation test =
      st::evaluate(*net, test_set, {.standardization = standardization, .check_finite = true});
  st::ConfusionMatrix confusion(test_set->classes());
  st::Labels labels;
  for (st::Index i = 0; i < test_set->size(); ++i) labels.push_back(test_set->label(i));
  confusion.add(labels, test.predictions);

  fmt::print("\n{:<14}{:>8}{:>11}\n", "class", "recall", "precision");
  for (st::Index c = 0; c < test_set->classes(); ++c)
    fmt::print("{:<14}{:>8}{:>11}\n", test_set->class_name(c), support::figure(confusion.recall(c)),
               support::figure(confusion.precision(c)));
  fmt::print("\ntrained for {} in all; best epoch {} of {}; test loss {:.4f}\n",
             support::duration(took.count()), history.best_epoch, history.epochs.size(), test.loss);
  fmt::print("test accuracy {:.4f}\n", test.accuracy);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  support::TrainingOptions options;
  const auto command_line = support::make_command_line(options);
  return support::run(*command_line, argc, argv, [&] { return train(options); });
}
