#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/runtime/parallel.hpp"
#include "strata/optim/adagrad.hpp"
#include "strata/optim/adam.hpp"
#include "strata/optim/evaluation.hpp"
#include "strata/optim/rms_prop.hpp"
#include "strata/optim/sgd.hpp"
#include "tests/optim/solver_fixtures.hpp"

namespace strata {
namespace {

using namespace testing_solver;

template <class T>
class Solvers : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(Solvers, Scalars);

TYPED_TEST(Solvers, OverfitsFiftyImagesOfNoise) {
  using T = TypeParam;
  Sequential<T> net = image_net<T>();
  const auto data = noise_images(50, 1);
  Solver<T> solver{net, {data, nullptr}, Adam<T>{{.learning_rate = 3e-3}}, {.epochs = 60, .batch_size = 10}};
  const History history = solver.train();
  EXPECT_EQ(evaluate<T>(net, data).accuracy, 1);
  ASSERT_EQ(history.epochs.size(), 60u);
  EXPECT_EQ(history.step_losses.size(), 300u);
  EXPECT_LT(history.epochs.back().train_loss, 0.2 * history.epochs.front().train_loss);
  EXPECT_EQ(history.best_epoch, 0);
}

TYPED_TEST(Solvers, LearnsWhatHoldsForOtherSamplesToo) {
  using T = TypeParam;
  Sequential<T> net = dense_net<T>();
  Solver<T> solver{net,
                   {points(300, 2), points(200, 3)},
                   SGD<T>{{.learning_rate = 0.1, .momentum = 0.9}},
                   {.epochs = 5, .batch_size = 32, .schedule = OneCycle{}}};
  const EpochRecord last = solver.train().epochs.back();
  EXPECT_GT(last.validation_accuracy, 0.95);
  EXPECT_GT(last.train_accuracy, 0.95);
}

// The same steps by hand: batches from a loader, one layer, plain descent.
TYPED_TEST(Solvers, TakesTheStepsThatOneWouldTakeByHand) {
  using T = TypeParam;
  const auto train = points(50, 2), validation = points(30, 3);
  const Standardization standardization{.mean = std::vector<double>(8, 0.5),
                                        .standard_deviation = std::vector<double>(8, 2)};
  Linear<T> net{8, kClasses};
  Linear<T> by_hand = net;
  const double limit = 0.3;
  Solver<T> solver{net,
                   {train, validation},
                   SGD<T>{{.learning_rate = 0.5}},
                   {.epochs = 3,
                    .batch_size = 16,
                    .seed = 9,
                    .schedule = StepDecay{epochs(1), 0.5},
                    .loss = SoftmaxCrossEntropy<T>{{.label_smoothing = 0.1}},
                    .standardization = standardization,
                    .max_gradient_norm = limit,
                    .keep_best = false}};
  const History history = solver.train();

  const SoftmaxCrossEntropy<T> loss_function{{.label_smoothing = 0.1}};
  DataLoader<T> loader(train, {.batch_size = 16, .seed = 9, .standardization = standardization});
  std::vector<double> losses;
  for (Index epoch = 0; epoch < 3; ++epoch) {
    double sum = 0, correct = 0;
    const double rate = 0.5 * std::pow(0.5, epoch);
    loader.start_epoch(epoch);
    while (auto batch = loader.next()) {
      const Tensor<T> scores = by_hand.forward(batch->samples);
      const auto loss = loss_function(scores, batch->labels);
      losses.push_back(loss.value);
      sum += loss.value * static_cast<double>(batch->labels.size());
      for (std::size_t n = 0; n < batch->labels.size(); ++n) {
        const T* row = scores.data() + n * kClasses;
        correct += std::max_element(row, row + kClasses) - row == batch->labels[n];
      }
      by_hand.backward(loss.gradient);
      double squares = 0;
      for (const Parameter<T>* parameter : by_hand.parameters())
        for (const T g : parameter->gradient) squares += static_cast<double>(g) * static_cast<double>(g);
      const double factor = std::min(1.0, limit / (std::sqrt(squares) + 1e-6));
      for (Parameter<T>* parameter : by_hand.parameters())
        for (std::size_t i = 0; i < parameter->value.size(); ++i)
          parameter->value.data()[i] -= static_cast<T>(rate * factor) * parameter->gradient.data()[i];
    }
    const EpochRecord& record = history.epochs[static_cast<std::size_t>(epoch)];
    EXPECT_EQ(record.epoch, epoch + 1);
    EXPECT_NEAR(record.train_loss, sum / 50, 1e-5);
    EXPECT_NEAR(record.train_accuracy, correct / 50, 1e-12);
    EXPECT_DOUBLE_EQ(record.learning_rate, rate);
    EXPECT_GT(record.seconds, 0);
    const Evaluation evaluation =
        evaluate<T>(by_hand, validation, {.standardization = standardization}, loss_function);
    EXPECT_NEAR(record.validation_loss, evaluation.loss, 1e-5);
    EXPECT_NEAR(record.validation_accuracy, evaluation.accuracy, 0.04);
  }
  ASSERT_EQ(history.step_losses.size(), losses.size());
  for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(history.step_losses[i], losses[i], 1e-5);
  for (std::size_t i = 0; i < net.weight().value.size(); ++i)
    EXPECT_NEAR(net.weight().value.data()[i], by_hand.weight().value.data()[i], 1e-5);
}

TYPED_TEST(Solvers, TheBestModelComesBackWithItsRunningStatistics) {
  using T = TypeParam;
  for (const bool keep_best : {true, false}) {
    Sequential<T> net = dense_net<T>();
    std::vector<double> after_second, after_last;
    std::vector<bool> best;
    Solver<T> solver{net,
                     {points(96, 2), points(60, 3)},
                     SGD<T>{{.learning_rate = 0.2}},
                     {.epochs = 4,
                      .batch_size = 32,
                      .schedule = StepDecay{epochs(2), 1e-9},  // nothing is repaired after the damage
                      .keep_best = keep_best,
                      .after_step =
                          [&](const StepReport& report) {
                            if (report.epoch < 3 || report.step > 1) return;
                            for (Parameter<T>* parameter : net.parameters()) parameter->value *= T{-0.5};
                          },
                      .after_epoch =
                          [&](const EpochReport& report) {
                            best.push_back(report.best);
                            (report.record.epoch == 2 ? after_second : after_last) = contents(net);
                          }}};
    const History history = solver.train();
    EXPECT_EQ(history.best_epoch, 2);
    EXPECT_THAT(best, testing::ElementsAre(true, true, false, false));
    EXPECT_EQ(contents(net), keep_best ? after_second : after_last);
    EXPECT_NE(after_second, after_last);
    EXPECT_FALSE(history.stopped_early);
  }
}

TYPED_TEST(Solvers, AStopKeepsTheNetworkAsItIsUntilTheBestIsAskedFor) {
  using T = TypeParam;
  Sequential<T> net = dense_net<T>();
  std::vector<double> after_first;
  Index stop_after = 2;
  Solver<T> solver{net,
                   {points(96, 2), points(60, 3)},
                   SGD<T>{{.learning_rate = 0.2}},
                   {.epochs = 3,
                    .batch_size = 32,
                    .schedule = StepDecay{epochs(1), 1e-9},
                    .after_step =
                        [&](const StepReport& report) {
                          if (report.epoch < 2 || report.step > 1) return;
                          for (Parameter<T>* parameter : net.parameters()) parameter->value *= T{-0.5};
                        },
                    .after_epoch =
                        [&](EpochReport& report) {
                          if (report.record.epoch == 1) after_first = contents(net);
                          report.stop = report.record.epoch == stop_after;
                        }}};
  EXPECT_EQ(solver.train().best_epoch, 1);
  const std::vector<double> stopped = contents(net);
  EXPECT_NE(stopped, after_first);
  solver.restore_best();
  EXPECT_EQ(contents(net), after_first);
  stop_after = 3;
  EXPECT_EQ(solver.train().epochs.size(), 3u);
  EXPECT_EQ(contents(net), after_first) << "a stop after the last epoch leaves nothing to go on with";
}

TYPED_TEST(Solvers, StopsWhenPatienceIsAtItsEnd) {
  using T = TypeParam;
  for (const Monitor monitor : {Monitor::accuracy, Monitor::loss}) {
    Sequential<T> net = dense_net<T>();
    Solver<T> solver{net,
                     {points(64, 2), points(60, 3)},
                     SGD<T>{{.learning_rate = 0.1}},
                     {.epochs = 50,
                      .batch_size = 32,
                      .schedule = StepDecay{epochs(2), 1e-300},  // from the third epoch on nothing changes
                      .monitor = monitor,
                      .patience = 3}};
    const History history = solver.train();
    EXPECT_TRUE(history.stopped_early);
    ASSERT_GT(history.best_epoch, 0);
    EXPECT_EQ(static_cast<Index>(history.epochs.size()), history.best_epoch + 3);
    EXPECT_EQ(solver.train().epochs.size(), history.epochs.size()) << "it is over";
  }
}

TYPED_TEST(Solvers, PlateauScheduleHearsTheValidationResults) {
  using T = TypeParam;
  Sequential<T> net = dense_net<T>();
  net.freeze();  // nothing improves after the first epoch
  Solver<T> solver{
      net,
      {points(64, 2), points(60, 3)},
      SGD<T>{{.learning_rate = 0.8}},
      {.epochs = 4, .batch_size = 32, .schedule = ReduceOnPlateau{{.factor = 0.5, .patience = 0}}}};
  std::vector<double> rates;
  for (const EpochRecord& record : solver.train().epochs) rates.push_back(record.learning_rate);
  EXPECT_THAT(rates, testing::ElementsAre(0.8, 0.8, 0.4, 0.2));
}

TYPED_TEST(Solvers, CallbacksReportEveryStepAndEpoch) {
  using T = TypeParam;
  Sequential<T> net = dense_net<T>();
  std::vector<std::pair<Index, Index>> seen;
  std::vector<double> losses;
  double last_estimate = -1;
  Index epochs_seen = 0;
  Solver<T> solver{net,
                   {points(70, 2), points(30, 3)},
                   SGD<T>{{.learning_rate = 0.1}},
                   {.epochs = 2,
                    .batch_size = 32,
                    .after_step =
                        [&](const StepReport& report) {
                          seen.emplace_back(report.epoch, report.step);
                          losses.push_back(report.loss);
                          last_estimate = report.seconds_left;
                          EXPECT_EQ(report.epochs, 2);
                          EXPECT_EQ(report.steps_per_epoch, 3);
                          EXPECT_EQ(report.learning_rate, 0.1);
                          EXPECT_GT(report.gradient_norm, 0);
                          EXPECT_GT(report.samples_per_second, 0);
                        },
                    .after_epoch =
                        [&](const EpochReport& report) {
                          EXPECT_EQ(report.record.epoch, ++epochs_seen);
                          EXPECT_EQ(report.epochs, 2);
                        }}};
  const History history = solver.train();
  using Pairs = std::vector<std::pair<Index, Index>>;
  EXPECT_EQ(seen, (Pairs{{1, 1}, {1, 2}, {1, 3}, {2, 1}, {2, 2}, {2, 3}}));
  EXPECT_EQ(losses, history.step_losses);
  EXPECT_EQ(last_estimate, 0) << "after the last step nothing is left";
  EXPECT_EQ(epochs_seen, 2);
}

// Stops after every kind of place, in turn, and goes on.
TYPED_TEST(Solvers, AStoppedTrainingGoesOnWithTheBitsOfAnUninterruptedOne) {
  using T = TypeParam;
  const Split data{noise_images(33, 1), noise_images(20, 2)};
  for (const std::shared_ptr<Optimizer<T>>& optimizer : std::vector<std::shared_ptr<Optimizer<T>>>{
           SGD<T>{{.momentum = 0.9, .nesterov = true}}.clone(), Adagrad<T>{}.clone(),
           RMSProp<T>{{.momentum = 0.5}}.clone(), Adam<T>{}.clone(), AdamW<T>{}.clone()}) {
    SolverOptions<T> options{.epochs = 3,
                             .batch_size = 8,
                             .schedule = OneCycle{},
                             .augmentation = {.crop_padding = 1, .horizontal_flip = true}};
    Sequential<T> uninterrupted = image_net<T>();
    const History expected = Solver<T>{uninterrupted, data, *optimizer, options}.train();

    Sequential<T> net = image_net<T>();
    options.after_step = [](StepReport& report) { report.stop = report.step % 2 == 0; };
    options.after_epoch = [](EpochReport& report) { report.stop = true; };
    Solver<T> solver{net, data, *optimizer, options};
    int calls = 0;
    do solver.train();
    while (++calls < 100 && solver.history().epochs.size() < 3);
    EXPECT_EQ(calls,
              3 * 3);  // of an epoch's four steps (the single sample is left out) two stop it, and its end
    EXPECT_EQ(solver.history().step_losses, expected.step_losses) << optimizer->type();
    for (std::size_t i = 0; i < 3; ++i) {
      const EpochRecord &one = expected.epochs[i], &other = solver.history().epochs[i];
      EXPECT_EQ(other.train_loss, one.train_loss);
      EXPECT_EQ(other.train_accuracy, one.train_accuracy);
      EXPECT_EQ(other.validation_loss, one.validation_loss);
      EXPECT_EQ(other.learning_rate, one.learning_rate);
    }
    EXPECT_EQ(contents(net), contents(uninterrupted)) << optimizer->type();
  }
}

TYPED_TEST(Solvers, TheSameBitsWithAnyNumberOfThreads) {
  using T = TypeParam;
  const int threads_before = num_threads();
  std::vector<double> first;
  for (const int threads : {1, 2, 3, 1}) {
    set_num_threads(threads);
    Sequential<T> net = image_net<T>();
    Solver<T>{net,
              {noise_images(200, 1), noise_images(20, 2)},
              Adam<T>{},
              {.epochs = 2, .batch_size = 64, .augmentation = {.crop_padding = 1}, .max_gradient_norm = 0.5}}
        .train();
    if (first.empty()) first = contents(net);
    EXPECT_EQ(contents(net), first) << threads << " threads";
  }
  set_num_threads(threads_before);
}

// Sizes of the batches that a network sees in one epoch of `count` samples.
template <class T>
std::vector<Index> batch_sizes(Index count, Index batch_size) {
  std::vector<Index> sizes;
  Sequential<T> net = dense_net<T>(Running<T>{
      [&](const Tensor<T>& x, std::int64_t) { sizes.push_back(static_cast<Index>(x.shape()[0])); }});
  Solver<T>{net, {points(count, 2), nullptr}, SGD<T>{}, {.epochs = 1, .batch_size = batch_size}}.train();
  return sizes;
}

TYPED_TEST(Solvers, ALastBatchOfASingleSampleIsLeftOut) {
  using testing::ElementsAre;
  EXPECT_THAT(batch_sizes<TypeParam>(17, 8), ElementsAre(8, 8));
  EXPECT_THAT(batch_sizes<TypeParam>(18, 8), ElementsAre(8, 8, 2));
  EXPECT_THAT(batch_sizes<TypeParam>(16, 8), ElementsAre(8, 8));
  EXPECT_THAT(batch_sizes<TypeParam>(3, 1), ElementsAre(1, 1, 1)) << "asked for";
  EXPECT_THAT(batch_sizes<TypeParam>(1, 8), ElementsAre(1)) << "all there is";
}

TYPED_TEST(Solvers, ModesAreLeftToTheUser) {
  using T = TypeParam;
  Sequential<T> net{Linear<T>{8, 16}, Dropout<T>{0.5}, Linear<T>{16, kClasses}};
  net.find("1").eval();
  Solver<T>{net, {points(20, 2), points(20, 3)}, SGD<T>{}, {.epochs = 1}}.train();
  EXPECT_FALSE(net.find("1").training());
  EXPECT_TRUE(net.find("0").training());
}

}  // namespace
}  // namespace strata
