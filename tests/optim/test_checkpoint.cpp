#include <gtest/gtest.h>

#include "strata/framework/io/weights.hpp"
#include "strata/optim/adagrad.hpp"
#include "strata/optim/adam.hpp"
#include "strata/optim/checkpoint_folder.hpp"
#include "strata/optim/rms_prop.hpp"
#include "strata/optim/sgd.hpp"
#include "tests/framework/temporary_folder.hpp"
#include "tests/optim/solver_fixtures.hpp"

namespace strata {
namespace {

using namespace testing_solver;

constexpr Index kBatches = 5;

// Dropout, augmentation, a schedule that learns from validation, a best model and early stopping: everything
// that could be forgotten. Noise does not generalize, so that the best epoch is not the last.
template <class T>
SolverOptions<T> options(std::optional<CheckpointOptions> checkpoints = std::nullopt) {
  SolverOptions<T> all{.epochs = 12, .batch_size = 10, .seed = 5};
  all.schedule = Warmup{steps(3), ReduceOnPlateau{{.factor = 0.5, .patience = 0}}};
  all.augmentation = {.crop_padding = 1, .horizontal_flip = true, .cutout = 2};
  all.max_gradient_norm = 2;
  all.monitor = Monitor::loss;
  all.patience = 2;
  all.checkpoints = std::move(checkpoints);
  return all;
}

Split noise() {
  return {noise_images(10 * kBatches, 1), noise_images(30, 2)};
}

template <class T>
SolverOptions<T> stopping_after(SolverOptions<T> all, Index step) {
  all.after_step = [step, count = Index{0}](StepReport& report) mutable { report.stop = ++count == step; };
  return all;
}

void expect_same(const History& a, const History& b) {
  EXPECT_EQ(a.step_losses, b.step_losses);
  ASSERT_EQ(a.epochs.size(), b.epochs.size());
  for (std::size_t i = 0; i < a.epochs.size(); ++i) {
    EXPECT_EQ(a.epochs[i].epoch, b.epochs[i].epoch);
    EXPECT_EQ(a.epochs[i].train_loss, b.epochs[i].train_loss);
    EXPECT_EQ(a.epochs[i].train_accuracy, b.epochs[i].train_accuracy);
    EXPECT_EQ(a.epochs[i].validation_loss, b.epochs[i].validation_loss);
    EXPECT_EQ(a.epochs[i].validation_accuracy, b.epochs[i].validation_accuracy);
    EXPECT_EQ(a.epochs[i].learning_rate, b.epochs[i].learning_rate);
  }
  EXPECT_EQ(a.best_epoch, b.best_epoch);
  EXPECT_EQ(a.stopped_early, b.stopped_early);
}

template <class T>
StateDict state_of_net(Layer<T>& net) {
  return capture(state_of(net, StateScope::all));
}

// Stopped after every number of steps in turn; each time a new network and Solver go on.
template <class T>
void expect_exact_resume(const Optimizer<T>& optimizer) {
  Sequential<T> whole = image_net<T>();
  const History history = Solver<T>(whole, noise(), optimizer, options<T>()).train();
  EXPECT_TRUE(history.stopped_early);
  EXPECT_GT(static_cast<Index>(history.epochs.size()), history.best_epoch);
  EXPECT_LT(history.epochs.back().learning_rate, optimizer.learning_rate());
  const auto in_all = static_cast<Index>(history.step_losses.size());
  for (Index stop = 1; stop <= in_all; stop += 4) {
    SCOPED_TRACE(stop);
    const TemporaryFolder folder;
    {
      Sequential<T> net = image_net<T>();
      Solver<T>(net, noise(), optimizer,
                stopping_after(options<T>(CheckpointOptions{.folder = folder / "c"}), stop))
          .train();
    }
    Sequential<T> net = image_net<T>();
    net.initialize(99);
    Solver<T> solver(net, noise(), optimizer, options<T>(CheckpointOptions{.folder = folder / "c"}));
    EXPECT_TRUE(solver.resume());
    EXPECT_EQ(static_cast<Index>(solver.history().step_losses.size()), stop);
    expect_same(solver.train(), history);
    EXPECT_EQ(state_of_net<T>(net), state_of_net<T>(whole));
  }
}

template <class T>
class Checkpoints : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(Checkpoints, Scalars);

TYPED_TEST(Checkpoints, ResumeExactlyWithSGD) {
  expect_exact_resume<TypeParam>(SGD<TypeParam>{{.learning_rate = 0.5}});
}
TYPED_TEST(Checkpoints, ResumeExactlyWithMomentum) {
  expect_exact_resume<TypeParam>(
      SGD<TypeParam>{{.learning_rate = 0.3, .momentum = 0.9, .weight_decay = 1e-3, .nesterov = true}});
}
TYPED_TEST(Checkpoints, ResumeExactlyWithAdam) {
  expect_exact_resume<TypeParam>(Adam<TypeParam>{{.learning_rate = 1e-3}});
}
TYPED_TEST(Checkpoints, ResumeExactlyWithAdamW) {
  expect_exact_resume<TypeParam>(AdamW<TypeParam>{{.learning_rate = 1e-3}});
}
TYPED_TEST(Checkpoints, ResumeExactlyWithRMSProp) {
  expect_exact_resume<TypeParam>(RMSProp<TypeParam>{{.learning_rate = 3e-3}});
}
TYPED_TEST(Checkpoints, ResumeExactlyWithAdagrad) {
  expect_exact_resume<TypeParam>(Adagrad<TypeParam>{{.learning_rate = 3e-2}});
}

// As if the process had been killed: the checkpoint is of an earlier step than the last.
TYPED_TEST(Checkpoints, ResumeExactlyFromAnOlderCheckpoint) {
  using T = TypeParam;
  const Adam<T> adam{{.learning_rate = 3e-3}};
  Sequential<T> whole = image_net<T>();
  const History history = Solver<T>(whole, noise(), adam, options<T>()).train();
  const TemporaryFolder folder;
  const CheckpointOptions checkpoints{.folder = folder.path(), .every = steps(2), .keep_last = 100};
  {
    Sequential<T> net = image_net<T>();
    Solver<T>(net, noise(), adam, options<T>(checkpoints)).train();
  }
  for (Index step = 2; step <= static_cast<Index>(history.step_losses.size()); step += 2) {
    SCOPED_TRACE(step);
    Sequential<T> net = image_net<T>();
    Solver<T> solver(net, noise(), adam, options<T>());
    solver.load_checkpoint(detail::CheckpointFolder(checkpoints).path_of(step));
    expect_same(solver.train(), history);
    EXPECT_EQ(state_of_net<T>(net), state_of_net<T>(whole));
  }
}

TYPED_TEST(Checkpoints, SavingAndLoadingGivesTheSameBytes) {
  using T = TypeParam;
  const TemporaryFolder folder;
  Sequential<T> net = image_net<T>(), other = image_net<T>();
  Solver<T> solver(net, noise(), Adam<T>{}, stopping_after(options<T>(), 2 * kBatches + 2));
  solver.train();
  solver.save_checkpoint(folder / "a");
  Solver<T> twin(other, noise(), Adam<T>{}, options<T>());
  twin.load_checkpoint(folder / "a");
  twin.save_checkpoint(folder / "b");
  EXPECT_EQ(read_text(folder / "a"), read_text(folder / "b"));
}

}  // namespace
}  // namespace strata
