#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/io/checksum.hpp"
#include "strata/framework/io/safetensors.hpp"
#include "strata/framework/io/weights.hpp"
#include "strata/framework/version.hpp"
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
using testing::HasSubstr;

constexpr Index kBatches = 5;

// Dropout, augmentation, a schedule that learns from validation, a best model and early stopping: everything
// that could be forgotten. Noise does not generalize, so that the best epoch is not the last.
template <class T>
SolverOptions<T> options(std::optional<CheckpointOptions> checkpoints = std::nullopt) {
  SolverOptions<T> all{.epochs = 9, .batch_size = 10, .seed = 5};
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

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Checkpoints, TheLastAndTheBestAreKept) {
  const TemporaryFolder folder;
  write_text(folder / ".step-000000003.safetensors.1-0.tmp", "left by a process that was killed");
  write_text(folder / "notes.tmp", "someone else's");
  Sequential<float> net = dense_net<float>();
  Solver<float> solver(net, {points(50, 2), points(30, 3)}, SGD<float>{{.learning_rate = 0.1}},
                       {.epochs = 3,
                        .batch_size = 10,
                        .checkpoints = CheckpointOptions{.folder = folder.path(), .keep_last = 2}});
  solver.train();
  EXPECT_THAT(names_in(folder.path()),
              testing::ElementsAre("best.safetensors", "notes.tmp", "step-000000010.safetensors",
                                   "step-000000015.safetensors"));
  Sequential<float> best = dense_net<float>();
  load_weights(best, folder / "best.safetensors");
  EXPECT_EQ(contents<float>(best), contents<float>(net));
}

TEST(Checkpoints, TrainingDoesNotMixWithAnotherRun) {
  const TemporaryFolder folder;
  const auto solver = [&](Sequential<float>& net) {
    return Solver<float>(net, {points(50, 2), nullptr}, SGD<float>{{.learning_rate = 0.1}},
                         {.epochs = 1, .batch_size = 10, .checkpoints = CheckpointOptions{folder.path()}});
  };
  Sequential<float> net = dense_net<float>(), second = dense_net<float>();
  auto first = solver(net);
  EXPECT_FALSE(first.resume());
  first.train();
  EXPECT_THROW(solver(second).train(), StateError);
  EXPECT_THROW(Solver<float>(net, {points(50, 2), nullptr}, SGD<float>{{.learning_rate = 0.1}}).resume(),
               StateError);
}

class ResumeFromFolder : public testing::Test {
 protected:
  Solver<float> make(Sequential<float>& net, std::map<std::string, std::string> run_options = {}) const {
    return {net,
            {points(50, 2), points(30, 3)},
            SGD<float>{{.learning_rate = 0.1}},
            {.epochs = 3,
             .batch_size = 10,
             .checkpoints = CheckpointOptions{
                 .folder = folder_.path(), .every = steps(4), .run_options = std::move(run_options)}}};
  }
  std::filesystem::path of_step(Index step) const {
    return detail::CheckpointFolder({folder_.path()}).path_of(step);
  }

  TemporaryFolder folder_;
};

TEST_F(ResumeFromFolder, EveryFewStepsAndEachEpochsEndOneIsWritten) {
  Sequential<float> net = dense_net<float>();
  make(net).train();
  EXPECT_THAT(names_in(folder_.path()),
              testing::ElementsAre("best.safetensors", "step-000000010.safetensors",
                                   "step-000000012.safetensors", "step-000000015.safetensors"));
}

TEST_F(ResumeFromFolder, DamagedOnesAreSetAside) {
  Sequential<float> whole = dense_net<float>();
  make(whole).train();
  std::filesystem::resize_file(of_step(15), 1000);
  std::string flipped = read_text(of_step(12));
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  write_text(of_step(12), flipped);
  Sequential<float> net = dense_net<float>();
  net.initialize(99);
  Solver<float> solver = make(net);
  const auto report = solver.resume();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->file, of_step(10));
  EXPECT_THAT(report->damaged,
              testing::ElementsAre(HasSubstr(of_step(15).string()), HasSubstr(of_step(12).string())));
  EXPECT_THAT(report->remarks, testing::IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(of_step(15)));
  EXPECT_TRUE(std::filesystem::exists(of_step(15).string() + ".damaged"));
  solver.train();
  EXPECT_EQ(contents<float>(net), contents<float>(whole));
}

TEST_F(ResumeFromFolder, IfAllAreDamagedNothingIsGuessed) {
  Sequential<float> net = dense_net<float>();
  make(net).train();
  for (const Index step : {10, 12, 15}) write_text(of_step(step), "x");
  const auto before = contents<float>(net);
  try {
    make(net).resume();
    FAIL() << "expected DataError";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(HasSubstr("no checkpoint can be read"), HasSubstr(of_step(15).string())));
  }
  EXPECT_EQ(contents<float>(net), before);
  EXPECT_TRUE(std::filesystem::exists(of_step(15)));
}

TEST_F(ResumeFromFolder, OfOtherRunOptionsIsRefused) {
  Sequential<float> net = dense_net<float>();
  make(net, {{"model", "dense"}, {"color", "red"}}).train();
  EXPECT_TRUE(make(net, {{"model", "dense"}}).resume());
  EXPECT_THAT(
      [&] {
        make(net, {{"model", "wide"}}).resume();
      },
      testing::ThrowsMessage<DataError>(HasSubstr("its option.model is 'dense', here it is 'wide'")));
  EXPECT_THAT(
      [&] {
        make(net, {{"taste", "salty"}}).resume();
      },
      testing::ThrowsMessage<DataError>(HasSubstr("the note 'option.taste' is missing")));
}

// A small run, and what becomes of its checkpoint after a change.
class BadCheckpoint : public testing::Test {
 protected:
  BadCheckpoint() {
    Sequential<float> net = dense_net<float>();
    Solver<float> solver = make(net, Adam<float>{});
    solver.train();
    solver.save_checkpoint(path_);
    state_ = read_safetensors(path_);
    detail::verify_checksum(state_, "");
  }

  static Solver<float> make(Sequential<float>& net, const Optimizer<float>& optimizer,
                            SolverOptions<float> options = {.epochs = 2, .batch_size = 10}) {
    return {net, {points(50, 2), points(30, 3)}, optimizer, std::move(options)};
  }

  // With the checksum that fits, for the reader to see the change behind it.
  void write() const {
    StateDict state = state_;
    detail::add_checksum(state);
    write_safetensors(state, path_);
  }

  std::string error_of(const Optimizer<float>& optimizer = Adam<float>{},
                       SolverOptions<float> options = {.epochs = 2, .batch_size = 10}) {
    write();
    return error_of_file(optimizer, std::move(options));
  }

  std::string error_of_file(const Optimizer<float>& optimizer = Adam<float>{},
                            SolverOptions<float> options = {.epochs = 2, .batch_size = 10}) {
    Sequential<float> net = dense_net<float>();
    net.initialize(77);
    const auto before = contents<float>(net);
    Solver<float> solver = make(net, optimizer, std::move(options));
    try {
      solver.load_checkpoint(path_);
      return "no error";
    } catch (const DataError& error) {
      EXPECT_EQ(contents<float>(net), before);
      EXPECT_TRUE(solver.history().epochs.empty());
      EXPECT_THAT(error.what(), testing::StartsWith("'" + path_.string() + "': "));
      return error.what();
    }
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "c";
  StateDict state_;
};

TEST_F(BadCheckpoint, UnchangedItLoads) {
  EXPECT_EQ(error_of(), "no error");
  EXPECT_FALSE(state_.metadata.at("blas").empty());
  EXPECT_FALSE(state_.metadata.at("instruction_set").empty());
}

TEST_F(BadCheckpoint, OfAnotherMachineLoadsWithARemark) {
  const auto remarks = [&] {
    write();
    Sequential<float> net = dense_net<float>();
    Solver<float> solver = make(net, Adam<float>{});
    return solver.load_checkpoint(path_);
  };
  EXPECT_THAT(remarks(), testing::IsEmpty());
  state_.metadata["instruction_set"] = "abacus";
  state_.metadata["strata"] = "0.0.1";
  state_.metadata["compiler"] = "0.1";
  state_.metadata.erase("blas");
  EXPECT_THAT(remarks(),
              testing::ElementsAre(
                  testing::StartsWith("the instruction_set of the checkpoint is 'abacus', here it is '"),
                  testing::StartsWith("the blas of the checkpoint is not known, here it is 'OpenBLAS"),
                  testing::StartsWith("the compiler of the checkpoint is '0.1', here it is '"),
                  HasSubstr("'0.0.1', here it is '" + std::string(version()) + "'; the last bits")));
}

TEST_F(BadCheckpoint, OfAnotherRunIsRefused) {
  EXPECT_THAT(error_of(SGD<float>{{.learning_rate = 0.001}}),
              HasSubstr("its optimizer is 'Adam', here it is 'SGD'"));
  EXPECT_THAT(error_of(Adam<float>{{.learning_rate = 0.5}}),
              HasSubstr("its learning_rate is '0.001', here it is '0.5'"));
  EXPECT_THAT(error_of(Adam<float>{}, {.epochs = 2, .batch_size = 25}), HasSubstr("its batch_size is '10'"));
  EXPECT_THAT(error_of(Adam<float>{}, {.epochs = 2, .batch_size = 10, .seed = 1}),
              HasSubstr("its seed is '0'"));
  EXPECT_EQ(error_of(Adam<float>{}, {.epochs = 9, .batch_size = 10}), "no error");
}

TEST_F(BadCheckpoint, OfAnotherNetworkIsRefusedWithAllThatDiffers) {
  state_.tensors.erase("model.0.weight");
  state_.tensors.erase("optimizer.1.exp_avg");
  state_.tensors.erase("best.1.running_mean");
  state_.put("model.9.weight", Tensor<float>{1});
  EXPECT_THAT(
      error_of(),
      testing::AllOf(HasSubstr("4 tensors do not fit"), HasSubstr("missing 'model.0.weight'"),
                     HasSubstr("missing 'optimizer.1.exp_avg'"), HasSubstr("missing 'best.1.running_mean'"),
                     HasSubstr("unexpected 'model.9.weight'")));
}

TEST_F(BadCheckpoint, WithoutANoteIsRefused) {
  const StateDict good = state_;
  for (const auto& [name, value] : good.metadata) {
    if (name == "blas" || name == "compiler" || name == "fusion" || name == "instruction_set" ||
        name == "strata")
      continue;
    state_ = good;
    state_.metadata.erase(name);
    EXPECT_THAT(error_of(), HasSubstr("the note '" + name + "' is missing"));
    state_.metadata[name] = "12x";
    EXPECT_NE(error_of(), "no error") << name;
  }
}

TEST_F(BadCheckpoint, WithNumbersOutOfRangeIsRefused) {
  const StateDict good = state_;
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"epoch", "-1"},
                                                        {"epoch", "9223372036854775807"},
                                                        {"epoch", "3"},
                                                        {"epoch", ""},
                                                        {"batch", "6"},
                                                        {"batch", "1"},
                                                        {"batch", "-1"},
                                                        {"best_epoch", "3"},
                                                        {"last_learning_rate", "nan"},
                                                        {"last_learning_rate", "-1"},
                                                        {"last_learning_rate", "-0.25"},
                                                        {"correct", "1e3"},
                                                        {"loss_sum", "1.0f"},
                                                        {"stopped_early", "maybe"},
                                                        {"format", "strata checkpoint 2"},
                                                        {"format", "pt"}}) {
    state_ = good;
    state_.metadata[name] = value;
    EXPECT_NE(error_of(), "no error") << name << " = " << value;
  }
}

// A schedule may end at a rate of 0.
TEST_F(BadCheckpoint, ALearningRateOfZeroIsOne) {
  state_.metadata["last_learning_rate"] = "0";
  EXPECT_EQ(error_of(), "no error");
}

TEST_F(BadCheckpoint, WithAnotherHistoryIsRefused) {
  const StateDict good = state_;
  for (const char* name : {"history.step_losses", "history.epochs"}) {
    state_ = good;
    state_.tensors.erase(name);
    EXPECT_THAT(error_of(), HasSubstr(std::string("tensor '") + name + "' is missing"));
    state_.put(name, Tensor<double>{1, 2});
    EXPECT_THAT(error_of(), HasSubstr("its history does not have the 10 steps of its position"));
    state_.tensors.erase(name);
    state_.put(name, Tensor<float>{1, 2});
    EXPECT_THAT(error_of(), HasSubstr("expected F64, found F32"));
  }
}

TEST_F(BadCheckpoint, WeightsAreNoCheckpoint) {
  state_ = {};
  EXPECT_THAT(error_of(), HasSubstr("is not a checkpoint"));
}

// Data, names, notes or the padding between: one bit of every third byte in turn.
TEST_F(BadCheckpoint, WithAFlippedBitIsRefused) {
  const std::string good = read_text(path_);
  std::size_t damaged = 0, data = 0;
  for (std::size_t at = 0; at < good.size(); at += 3) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1 << at % 8);
    write_text(path_, bad);
    const std::string error = error_of_file();
    EXPECT_NE(error, "no error") << "byte " << at;
    damaged += error.find("is damaged: expected contents with the checksum") != std::string::npos;
  }
  for (const auto& [name, tensor] : state_.tensors) data += tensor.bytes.size();
  EXPECT_GE(damaged, data / 3);
}

TEST_F(BadCheckpoint, WithoutAChecksumIsRefused) {
  write_safetensors(state_, path_);
  EXPECT_THAT(error_of_file(), HasSubstr("is not a checkpoint: it has no checksum"));
}

}  // namespace
}  // namespace strata
