// What an option is if it is not given: PyTorch's value, or what the header says instead.
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "strata/optim/adagrad.hpp"
#include "strata/optim/adam.hpp"
#include "strata/optim/evaluation.hpp"
#include "strata/optim/rms_prop.hpp"
#include "strata/optim/sgd.hpp"
#include "strata/optim/solver.hpp"

namespace strata {
namespace {

TEST(OptimDefaults, Optimizers) {
  const SGDOptions sgd = SGD<float>().options();
  EXPECT_EQ(sgd.learning_rate, 1e-3);
  EXPECT_EQ(sgd.momentum, 0);
  EXPECT_EQ(sgd.dampening, 0);
  EXPECT_EQ(sgd.weight_decay, 0);
  EXPECT_FALSE(sgd.nesterov);
  EXPECT_FALSE(sgd.decay_all);

  const AdagradOptions adagrad = Adagrad<float>().options();
  EXPECT_EQ(adagrad.learning_rate, 1e-2);
  EXPECT_EQ(adagrad.learning_rate_decay, 0);
  EXPECT_EQ(adagrad.weight_decay, 0);
  EXPECT_EQ(adagrad.initial_accumulator_value, 0);
  EXPECT_EQ(adagrad.eps, 1e-10);
  EXPECT_FALSE(adagrad.decay_all);

  const RMSPropOptions rms_prop = RMSProp<float>().options();
  EXPECT_EQ(rms_prop.learning_rate, 1e-2);
  EXPECT_EQ(rms_prop.alpha, 0.99);
  EXPECT_EQ(rms_prop.eps, 1e-8);
  EXPECT_EQ(rms_prop.weight_decay, 0);
  EXPECT_EQ(rms_prop.momentum, 0);
  EXPECT_FALSE(rms_prop.centered);
  EXPECT_FALSE(rms_prop.decay_all);

  const AdamOptions adam = Adam<float>().options();
  EXPECT_EQ(adam.learning_rate, 1e-3);
  EXPECT_EQ(adam.beta1, 0.9);
  EXPECT_EQ(adam.beta2, 0.999);
  EXPECT_EQ(adam.eps, 1e-8);
  EXPECT_EQ(adam.weight_decay, 0);
  EXPECT_FALSE(adam.decay_all);

  const AdamWOptions adam_w = AdamW<float>().options();
  EXPECT_EQ(adam_w.learning_rate, 1e-3);
  EXPECT_EQ(adam_w.beta1, 0.9);
  EXPECT_EQ(adam_w.beta2, 0.999);
  EXPECT_EQ(adam_w.eps, 1e-8);
  EXPECT_EQ(adam_w.weight_decay, 1e-2);
  EXPECT_FALSE(adam_w.decay_all);
}

TEST(OptimDefaults, Schedules) {
  EXPECT_EQ(CosineDecayOptions().minimum, 0);
  EXPECT_FALSE(CosineDecayOptions().length);

  const OneCycleOptions one_cycle;
  EXPECT_EQ(one_cycle.pct_start, 0.3);
  EXPECT_EQ(one_cycle.div_factor, 25);
  EXPECT_EQ(one_cycle.final_div_factor, 1e4);

  const ReduceOnPlateauOptions plateau;
  EXPECT_EQ(plateau.monitor, Monitor::loss);
  EXPECT_EQ(plateau.factor, 0.1);
  EXPECT_EQ(plateau.patience, 10);
  EXPECT_EQ(plateau.threshold, 1e-4);
  EXPECT_TRUE(plateau.relative_threshold);
  EXPECT_EQ(plateau.cooldown, 0);
  EXPECT_EQ(plateau.minimum, 0);
  EXPECT_EQ(plateau.eps, 1e-8);

  const TrainingPosition at{.step = 4, .steps_per_epoch = 2, .total_steps = 8};
  EXPECT_DOUBLE_EQ(MultiStepDecay({epochs(1)}).learning_rate(1, at), 0.1);
  EXPECT_DOUBLE_EQ(StepDecay(epochs(1)).learning_rate(1, at), 0.01);
  EXPECT_DOUBLE_EQ(ExponentialDecay(0.5).learning_rate(1, at), 0.25);
  EXPECT_DOUBLE_EQ(Warmup(steps(6)).learning_rate(1, at), 1.0 / 3 + 2.0 / 3 * 4 / 6);
}

TEST(OptimDefaults, TrainingStartsAtItsFirstStep) {
  const TrainingPosition at;
  EXPECT_EQ(at.step, 0);
  EXPECT_EQ(at.steps_per_epoch, 1);
  EXPECT_EQ(at.total_steps, 1);
}

TEST(OptimDefaults, Solver) {
  const SolverOptions<float> solver;
  EXPECT_EQ(solver.epochs, 10);
  EXPECT_EQ(solver.batch_size, 64);
  EXPECT_EQ(solver.seed, 0u);
  EXPECT_EQ(solver.schedule->learning_rate(0.5, {.step = 7, .steps_per_epoch = 2, .total_steps = 8}), 0.5);
  EXPECT_TRUE(dynamic_cast<const SoftmaxCrossEntropy<float>*>(&*solver.loss));
  EXPECT_EQ(solver.augmentation, Augmentation{});
  EXPECT_FALSE(solver.standardization);
  EXPECT_EQ(solver.max_gradient_norm, std::numeric_limits<double>::infinity());
  EXPECT_EQ(solver.monitor, Monitor::accuracy);
  EXPECT_TRUE(solver.keep_best);
  EXPECT_FALSE(solver.patience);
  EXPECT_FALSE(solver.validation_batch_size);
  EXPECT_FALSE(solver.checkpoints);

  const CheckpointOptions checkpoints;
  EXPECT_EQ(checkpoints.every.in_steps(7), 7);
  EXPECT_EQ(checkpoints.keep_last, 3);

  EXPECT_EQ(EvaluationOptions().batch_size, 64);
  EXPECT_FALSE(EvaluationOptions().standardization);
}

TEST(OptimDefaults, NothingHasHappenedYet) {
  const EpochRecord record;
  EXPECT_EQ(record.epoch, 0);
  EXPECT_EQ(record.train_loss, 0);
  EXPECT_EQ(record.train_accuracy, 0);
  EXPECT_TRUE(std::isnan(record.validation_loss));
  EXPECT_TRUE(std::isnan(record.validation_accuracy));
  EXPECT_EQ(record.learning_rate, 0);
  EXPECT_EQ(record.seconds, 0);
  const History history;
  EXPECT_EQ(history.best_epoch, 0);
  EXPECT_FALSE(history.stopped_early);
}

}  // namespace
}  // namespace strata
