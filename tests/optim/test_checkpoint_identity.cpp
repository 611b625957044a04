// A checkpoint goes on in the run that it was made by, and no other: whatever changes the result is compared.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/data/fingerprint.hpp"
#include "strata/framework/io/checksum.hpp"
#include "strata/framework/io/safetensors.hpp"
#include "strata/layers/sigmoid.hpp"
#include "strata/layers/tanh.hpp"
#include "strata/optim/adagrad.hpp"
#include "strata/optim/adam.hpp"
#include "strata/optim/rms_prop.hpp"
#include "strata/optim/sgd.hpp"
#include "tests/framework/temporary_folder.hpp"
#include "tests/optim/solver_fixtures.hpp"

namespace strata {
namespace {

using namespace testing_solver;
using testing::AllOf;
using testing::HasSubstr;

Sequential<float> net_of(double p = 0.25) {
  Sequential<float> net{Conv2D<float>{2, 4, 3, {.padding = 1}},
                        ReLU<float>{},
                        MaxPool2D<float>{2},
                        Flatten<float>{},
                        Dropout<float>{p},
                        Linear<float>{64, kClasses}};
  net.initialize(4);
  return net;
}

struct TrainingRun {
  Sequential<float> net = net_of();
  std::shared_ptr<const Dataset> train = noise_images(20, 1), validation = noise_images(10, 2);
  Cloned<Optimizer<float>> optimizer = SGD<float>{};
  SolverOptions<float> options = {.epochs = 2, .batch_size = 10};
};

class CheckpointIdentity : public testing::Test {
 protected:
  static Solver<float> solver(TrainingRun& run) {
    return {run.net, {run.train, run.validation}, *run.optimizer, run.options};
  }

  // What the second says to a checkpoint of the first.
  std::string answer(TrainingRun first, TrainingRun second) {
    solver(first).save_checkpoint(path_);
    return answer(std::move(second));
  }
  std::string answer(TrainingRun run) {
    try {
      const auto remarks = solver(run).load_checkpoint(path_);
      return remarks.empty() ? "accepted" : "accepted; " + remarks[0];
    } catch (const DataError& error) {
      return error.what();
    }
  }

  // A run that differs in one thing is refused both ways, with what was expected and what was found.
  void expect_told(const TrainingRun& a, const TrainingRun& b, const std::string& name,
                   const std::string& of_a, const std::string& of_b) {
    SCOPED_TRACE(name);
    const auto its = [&](const std::string& found, const std::string& own) {
      return HasSubstr("was made by another run: its " + name + " is '" + found + "', here it is '" + own +
                       "'");
    };
    EXPECT_THAT(answer(a, b), its(of_a, of_b));
    EXPECT_THAT(answer(b, a), its(of_b, of_a));
    EXPECT_EQ(answer(a, a), "accepted");
    EXPECT_EQ(answer(b, b), "accepted");
  }
  template <class Change>
  void expect_told_after(const Change& change, const std::string& name, const std::string& before,
                         const std::string& after) {
    TrainingRun changed;
    change(changed);
    expect_told(TrainingRun{}, changed, name, before, after);
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "c";
};

TEST_F(CheckpointIdentity, EveryOptionOfEveryOptimizer) {
  const auto sgd = [&](SGDOptions a, SGDOptions b, const char* name, const char* of_a, const char* of_b) {
    expect_told({.optimizer = SGD<float>{a}}, {.optimizer = SGD<float>{b}}, name, of_a, of_b);
  };
  sgd({.learning_rate = 0.1}, {.learning_rate = 0.2}, "learning_rate", "0.1", "0.2");
  sgd({.momentum = 0.9}, {.momentum = 0.8}, "optimizer.momentum", "0.9", "0.8");
  sgd({.momentum = 0.9}, {.momentum = 0.9, .dampening = 0.5}, "optimizer.dampening", "0", "0.5");
  sgd({}, {.weight_decay = 0.01}, "optimizer.weight_decay", "0", "0.01");
  sgd({.momentum = 0.9}, {.momentum = 0.9, .nesterov = true}, "optimizer.nesterov", "0", "1");
  sgd({}, {.decay_all = true}, "optimizer.decay_all", "0", "1");

  const auto check = [&]<class Optimizer, class Options>(std::type_identity<Optimizer>, Options changed,
                                                         const char* name, const char* of_a,
                                                         const char* of_b) {
    expect_told({.optimizer = Optimizer{}}, {.optimizer = Optimizer{changed}},
                std::string("optimizer.") + name, of_a, of_b);
  };
  const std::type_identity<Adam<float>> adam;
  check(adam, AdamOptions{.beta1 = 0.8}, "beta1", "0.9", "0.8");
  check(adam, AdamOptions{.beta2 = 0.99}, "beta2", "0.999", "0.99");
  check(adam, AdamOptions{.eps = 1e-7}, "eps", "1e-08", "1e-07");
  check(adam, AdamOptions{.weight_decay = 0.01}, "weight_decay", "0", "0.01");
  check(adam, AdamOptions{.decay_all = true}, "decay_all", "0", "1");
  const std::type_identity<AdamW<float>> adam_w;
  check(adam_w, AdamWOptions{.beta1 = 0.8}, "beta1", "0.9", "0.8");
  check(adam_w, AdamWOptions{.beta2 = 0.99}, "beta2", "0.999", "0.99");
  check(adam_w, AdamWOptions{.eps = 1e-7}, "eps", "1e-08", "1e-07");
  check(adam_w, AdamWOptions{.weight_decay = 0.02}, "weight_decay", "0.01", "0.02");
  check(adam_w, AdamWOptions{.decay_all = true}, "decay_all", "0", "1");
  const std::type_identity<RMSProp<float>> rms_prop;
  check(rms_prop, RMSPropOptions{.alpha = 0.9}, "alpha", "0.99", "0.9");
  check(rms_prop, RMSPropOptions{.eps = 1e-7}, "eps", "1e-08", "1e-07");
  check(rms_prop, RMSPropOptions{.weight_decay = 0.01}, "weight_decay", "0", "0.01");
  check(rms_prop, RMSPropOptions{.momentum = 0.5}, "momentum", "0", "0.5");
  check(rms_prop, RMSPropOptions{.centered = true}, "centered", "0", "1");
  check(rms_prop, RMSPropOptions{.decay_all = true}, "decay_all", "0", "1");
  const std::type_identity<Adagrad<float>> adagrad;
  check(adagrad, AdagradOptions{.learning_rate_decay = 0.1}, "learning_rate_decay", "0", "0.1");
  check(adagrad, AdagradOptions{.weight_decay = 0.01}, "weight_decay", "0", "0.01");
  check(adagrad, AdagradOptions{.initial_accumulator_value = 0.1}, "initial_accumulator_value", "0", "0.1");
  check(adagrad, AdagradOptions{.eps = 1e-7}, "eps", "1e-10", "1e-07");
  check(adagrad, AdagradOptions{.decay_all = true}, "decay_all", "0", "1");
}

TEST_F(CheckpointIdentity, EverySchedule) {
  const auto check = [&](const Cloned<Schedule>& a, const Cloned<Schedule>& b, const char* name,
                         const char* of_a, const char* of_b) {
    TrainingRun first, second;
    first.options.schedule = a;
    second.options.schedule = b;
    expect_told(first, second, name, of_a, of_b);
  };
  check(ConstantRate{}, OneCycle{}, "schedule", "ConstantRate", "OneCycle");
  check(StepDecay{epochs(1)}, StepDecay{epochs(2)}, "schedule.every, in epochs", "1", "2");
  check(StepDecay{epochs(1)}, StepDecay{epochs(1), 0.5}, "schedule.gamma", "0.1", "0.5");
  check(MultiStepDecay{{steps(3), steps(5)}}, MultiStepDecay{{steps(3), steps(6)}},
        "schedule.milestone 2, in steps", "5", "6");
  check(MultiStepDecay{{steps(3)}}, MultiStepDecay{{steps(3)}, 0.5}, "schedule.gamma", "0.1", "0.5");
  check(ExponentialDecay{0.5}, ExponentialDecay{0.6}, "schedule.gamma", "0.5", "0.6");
  check(ExponentialDecay{0.5, steps(2)}, ExponentialDecay{0.5, steps(3)}, "schedule.every, in steps", "2",
        "3");
  check(CosineDecay{}, CosineDecay{{.minimum = 0.1}}, "schedule.minimum", "0", "0.1");
  check(CosineDecay{{.length = epochs(1)}}, CosineDecay{{.length = epochs(2)}}, "schedule.length, in epochs",
        "1", "2");
  check(OneCycle{}, OneCycle{{.pct_start = 0.2}}, "schedule.pct_start", "0.3", "0.2");
  check(OneCycle{}, OneCycle{{.div_factor = 10}}, "schedule.div_factor", "25", "10");
  check(OneCycle{}, OneCycle{{.final_div_factor = 10}}, "schedule.final_div_factor", "10000", "10");
  check(Warmup{steps(2)}, Warmup{steps(3)}, "schedule.length, in steps", "2", "3");
  check(Warmup{steps(2), ConstantRate{}, 0.5}, Warmup{steps(2), ConstantRate{}, 0.25},
        "schedule.start_factor", "0.5", "0.25");
  check(Warmup{steps(2), CosineDecay{}}, Warmup{steps(2), OneCycle{}}, "schedule", "Warmup, then CosineDecay",
        "Warmup, then OneCycle");
  check(Warmup{steps(2), CosineDecay{}}, Warmup{steps(2), CosineDecay{{.minimum = 1}}},
        "schedule.then.minimum", "0", "1");
  const auto plateau = [&](const ReduceOnPlateauOptions& options, const char* name, const char* of_a,
                           const char* of_b) {
    check(ReduceOnPlateau{}, ReduceOnPlateau{options}, name, of_a, of_b);
  };
  plateau({.monitor = Monitor::accuracy}, "schedule.monitor", "0", "1");
  plateau({.factor = 0.5}, "schedule.factor", "0.1", "0.5");
  plateau({.patience = 2}, "schedule.patience", "10", "2");
  plateau({.threshold = 0.1}, "schedule.threshold", "1e-04", "0.1");
  plateau({.relative_threshold = false}, "schedule.relative_threshold", "1", "0");
  plateau({.cooldown = 2}, "schedule.cooldown", "0", "2");
  plateau({.minimum = 0.1}, "schedule.minimum", "0", "0.1");
  plateau({.eps = 0.1}, "schedule.eps", "1e-08", "0.1");
}

TEST_F(CheckpointIdentity, TheLoss) {
  using Softmax = SoftmaxCrossEntropy<float>;
  using Hinge = MulticlassHinge<float>;
  expect_told_after([](TrainingRun& run) { run.options.loss = Hinge{}; }, "loss", "SoftmaxCrossEntropy",
                    "MulticlassHinge");
  expect_told_after([](TrainingRun& run) { run.options.loss = Softmax{{.label_smoothing = 0.1}}; },
                    "loss.label_smoothing", "0", "0.1");
  TrainingRun narrow, wide;
  narrow.options.loss = Hinge{};
  wide.options.loss = Hinge{{.margin = 2}};
  expect_told(narrow, wide, "loss.margin", "1", "2");
}

TEST_F(CheckpointIdentity, TheOptionsOfTheSolver) {
  const auto check = [&](const auto& change, const char* name, const char* before, const char* after) {
    expect_told_after([&](TrainingRun& run) { change(run.options); }, name, before, after);
  };
  using Options = SolverOptions<float>&;
  check([](Options o) { o.batch_size = 5; }, "batch_size", "10", "5");
  check([](Options o) { o.validation_batch_size = 5; }, "validation_batch_size", "10", "5");
  check([](Options o) { o.seed = 5; }, "seed", "0", "5");
  check([](Options o) { o.max_gradient_norm = 5; }, "max_gradient_norm", "inf", "5");
  check([](Options o) { o.augmentation.crop_padding = 5; }, "crop_padding", "0", "5");
  check([](Options o) { o.augmentation.horizontal_flip = true; }, "horizontal_flip", "no", "yes");
  check([](Options o) { o.augmentation.cutout = 5; }, "cutout", "0", "5");
  check([](Options o) { o.keep_best = false; }, "keep_best", "yes", "no");
  check([](Options o) { o.monitor = Monitor::loss; }, "monitor", "accuracy", "loss");

  TrainingRun plain, standardized, other;
  standardized.options.standardization = Standardization{{0, 0}, {1, 2}};
  other.options.standardization = Standardization{{0, 0.5}, {1, 3}};
  expect_told(standardized, other, "standardization.mean", "0, 0", "0, 0.5");
  EXPECT_THAT(answer(standardized, other),
              HasSubstr("its standardization.standard_deviation is '1, 2', here it is '1, 3'"));
  EXPECT_THAT(answer(plain, standardized), HasSubstr("it has no standardization.mean, here it is '0, 0'"));
  EXPECT_THAT(answer(standardized, plain),
              HasSubstr("its standardization.mean is '0, 0', here there is none"));

  TrainingRun longer;  // these may be others
  longer.options.epochs = 7;
  longer.options.patience = 3;
  EXPECT_EQ(answer(plain, longer), "accepted");
}

// The same shapes and counts: one pixel, one label or the order alone.
TEST_F(CheckpointIdentity, TheData) {
  auto samples = Random(1).normal<float>({20, 2, 8, 8});
  Labels labels(20, 1);
  const auto dataset = [&] { return std::make_shared<TensorDataset>(samples, labels, kClasses); };
  const auto base = dataset();
  samples(19, 1, 7, 7) = std::nextafter(samples(19, 1, 7, 7), 9.0F);
  const auto pixel = dataset();
  labels[7] = 2;
  const auto label = dataset();
  const auto validation = noise_images(10, 2);
  const std::string own = fingerprint(*base), of_validation = fingerprint(*validation);
  for (const auto& other : {pixel, label})
    expect_told({.train = base}, {.train = other}, "data", own + " and " + of_validation,
                fingerprint(*other) + " and " + of_validation);
  expect_told({.train = label, .validation = base}, {.train = label, .validation = pixel}, "data",
              fingerprint(*label) + " and " + own, fingerprint(*label) + " and " + fingerprint(*pixel));
  EXPECT_THAT(answer({.validation = noise_images(10, 2)}, {.validation = nullptr}),
              HasSubstr("its validation_samples is '10', here it is '0'"));
}

TEST_F(CheckpointIdentity, TheNetwork) {
  TrainingRun base, tanh, dropout, frozen, evaluation;
  tanh.net = Sequential<float>{Conv2D<float>{2, 4, 3, {.padding = 1}},
                               Tanh<float>{},
                               MaxPool2D<float>{2},
                               Flatten<float>{},
                               Dropout<float>{0.25},
                               Linear<float>{64, 3}};
  dropout.net = net_of(0.5);
  expect_told(base, tanh, "structure.1", "ReLU", "Tanh");
  expect_told(base, dropout, "structure.4", "Dropout p 0.25", "Dropout p 0.5");
  frozen.net[0].freeze();
  expect_told(base, frozen, "frozen parameters", "", "0.weight, 0.bias");
  evaluation.net[4].eval();
  expect_told(base, evaluation, "layers in evaluation mode", "", "Dropout '4'");
}

TEST_F(CheckpointIdentity, AllThatDiffersIsTold) {
  TrainingRun other;
  other.optimizer = SGD<float>{{.momentum = 0.5}};
  other.options.seed = 9;
  EXPECT_THAT(answer(TrainingRun{}, other),
              AllOf(HasSubstr("its optimizer.momentum is '0', here it is '0.5'; "),
                    HasSubstr("its seed is '0', here it is '9'")));
}

TEST_F(CheckpointIdentity, OptionsOfTheRunThatAreGivenHere) {
  const auto with = [&](std::map<std::string, std::string> options) {
    TrainingRun run;
    run.options.checkpoints = CheckpointOptions{.folder = folder_ / "f", .run_options = std::move(options)};
    return run;
  };
  expect_told(with({{"model", "vgg"}}), with({{"model", "quick"}}), "option.model", "vgg", "quick");
  EXPECT_THAT(answer(with({}), with({{"model", "vgg"}})),
              HasSubstr("it has no option.model, here it is 'vgg'"));
  EXPECT_EQ(answer(with({{"model", "vgg"}}), with({})), "accepted");
  EXPECT_EQ(answer(with({{"model", "vgg"}}), TrainingRun{}), "accepted");
}

// As the first version wrote it: fewer notes, under their plain names.
TEST_F(CheckpointIdentity, AnOlderFormatIsReadAndItsGapsAreTold) {
  TrainingRun run;
  solver(run).save_checkpoint(path_);
  StateDict state = read_safetensors(path_);
  detail::verify_checksum(state, "");
  StateDict old = state;
  std::erase_if(old.metadata, [](const auto& note) { return note.first.starts_with("run."); });
  for (const char* name :
       {"optimizer", "learning_rate", "batch_size", "seed", "training_samples", "keep_best", "monitor"})
    old.metadata[name] = state.metadata.at(std::string("run.") + name);
  old.metadata["format"] = "strata checkpoint 1";
  detail::add_checksum(old);
  write_safetensors(old, path_);
  EXPECT_THAT(answer(TrainingRun{}),
              AllOf(HasSubstr("accepted; the checkpoint is of an older version and does not tell "),
                    HasSubstr("loss; "), HasSubstr("; optimizer.momentum; ")));
  TrainingRun other;
  other.options.seed = 9;
  EXPECT_THAT(answer(other), HasSubstr("its seed is '0', here it is '9'"));
}

}  // namespace
}  // namespace strata
