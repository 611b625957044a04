// Long trainings keep their size; a failed allocation costs nothing but an exception.
#include <cstdio>
#include <filesystem>
#include <new>
#include <unistd.h>

#include <gtest/gtest.h>

#include "strata/framework/io/safetensors.hpp"
#include "strata/framework/io/weights.hpp"
#include "strata/framework/runtime/address_sanitizer.hpp"
#include "strata/framework/runtime/memory.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/normalization/batch_norm.hpp"
#include "strata/optim/adam.hpp"
#include "tests/framework/temporary_folder.hpp"
#include "tests/optim/failing_memory.hpp"
#include "tests/optim/solver_fixtures.hpp"

namespace strata {
namespace {

using namespace testing_solver;
using testing_memory::Allowance;
using testing_memory::kUnlimited;
using testing_memory::of_others;
using testing_memory::of_tensors;

// Its activations are large enough for the block cache, the batches of the loader are not.
Sequential<float> wide_net() {
  Sequential<float> net{Conv2D<float>{2, 64, 3, {.padding = 1}},
                        SpatialBatchNorm<float>{64},
                        ReLU<float>{},
                        MaxPool2D<float>{2},
                        Flatten<float>{},
                        Dropout<float>{0.5},
                        Linear<float>{64 * 4 * 4, kClasses}};
  net.initialize(4);
  return net;
}

// Trains for 2000 steps, and gives what `measure` gives after 500 and after all.
template <class Measure>
auto before_and_after(const Measure& measure) {
  std::vector<decltype(measure())> values;
  Sequential<float> net = wide_net();
  SolverOptions<float> options{.epochs = 40, .batch_size = 10};
  options.augmentation = {.crop_padding = 1, .horizontal_flip = true};
  options.after_step = [&, step = 0](StepReport&) mutable {
    if (++step == 500 || step == 2000) values.push_back(measure());
  };
  Solver<float>(net, {noise_images(500, 1), noise_images(30, 2)}, Adam<float>{}, options).train();
  EXPECT_EQ(values.size(), 2u);
  return values;
}

#if !STRATA_ADDRESS_SANITIZED && !defined(__SANITIZE_THREAD__)  // they need memory of their own
long resident_bytes() {
  long total = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (!file || std::fscanf(file, "%ld %ld", &total, &resident) != 2) resident = -1;
  if (file) std::fclose(file);
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(TrainingMemory, TwoThousandStepsDoNotGrow) {
  const auto bytes = before_and_after(resident_bytes);
  EXPECT_GT(bytes[0], 0);
  // 1500 steps that leak 350 bytes each would show. Losses that are remembered take 8 bytes each.
  EXPECT_LE(bytes[1] - bytes[0], 512 << 10);
}
#endif

#if !STRATA_ADDRESS_SANITIZED  // under which blocks are not used again
TEST(TrainingMemory, ASteadyStateAsksTheSystemForNothing) {
  const int threads = num_threads();
  set_num_threads(1);  // with more, how many need scratch memory at once is up to chance
  const auto counts = before_and_after([] { return memory_statistics().system_allocations; });
  set_num_threads(threads);
  EXPECT_GT(counts[0], 0u);
  EXPECT_EQ(counts[1], counts[0]);
}
#endif

// Tensors cannot be had from the n-th on, for every n that a training asks for. Once they can be had again,
// it goes on to the very bits of an undisturbed run.
TEST(TrainingMemory, RunningOutOfItAnywhereLeavesAUsableSolver) {
  const Split data{noise_images(40, 1), noise_images(20, 2)};
  SolverOptions<float> options{.epochs = 2, .batch_size = 10};
  options.augmentation = {.crop_padding = 1, .horizontal_flip = true};
  options.schedule = ReduceOnPlateau{{.patience = 0}};
  const auto expected = [&] {
    Sequential<float> net = wide_net();
    const History history = Solver<float>(net, data, Adam<float>{}, options).train();
    return std::pair(capture(state_of(net, StateScope::all)), history.step_losses);
  }();
  bool done = false;
  std::int64_t n = 0;
  for (; !done; ++n) {
    Sequential<float> net = wide_net();
    Solver<float> solver(net, data, Adam<float>{}, options);
    release_cached_memory();
    of_tensors.left = n;
    try {
      solver.train();
      done = true;
    } catch (const std::bad_alloc&) {
    }
    of_tensors.left = kUnlimited;
    const History history = solver.train();
    ASSERT_TRUE(std::pair(capture(state_of(net, StateScope::all)), history.step_losses) == expected)
        << "after allocation " << n << " failed";
    ASSERT_EQ(history.epochs.size(), 2u);
  }
  EXPECT_GT(n, 100);
}

// What a run ends with, but for the time it took.
struct Outcome {
  StateDict model;
  std::vector<double> numbers;

  Outcome(Sequential<float>& net, const History& history)
      : model(capture(state_of(net, StateScope::all))), numbers(history.step_losses) {
    for (const EpochRecord& record : history.epochs)
      numbers.insert(numbers.end(),
                     {static_cast<double>(record.epoch), record.train_loss, record.train_accuracy,
                      record.validation_loss, record.validation_accuracy, record.learning_rate});
    numbers.push_back(static_cast<double>(history.best_epoch));
  }
  bool operator==(const Outcome&) const = default;
};

class OneFailedAllocation : public testing::Test {
 protected:
  OneFailedAllocation() {
    options_.epochs = 3;
    options_.batch_size = 10;
    options_.schedule = ReduceOnPlateau{{.patience = 0}};
  }

  Outcome undisturbed() const {
    Sequential<float> net = dense_net<float>();
    const History history = Solver<float>(net, data_, optimizer_, options_).train();
    EXPECT_GT(history.best_epoch, 0);
    return {net, history};
  }

  // Trains while allocation `n` fails, the first being 0; false if there were fewer. Some can be done
  // without.
  static bool train_to_failure(Solver<float>& solver, Allowance& allowance, std::int64_t n) {
    allowance.one_fails = true;
    allowance.left = n;
    try {
      solver.train();
    } catch (const std::bad_alloc&) {
    }
    const bool failed = allowance.left.exchange(kUnlimited) == kUnlimited;
    allowance.one_fails = false;
    return failed;
  }

  const Split data_{points(40, 1, 2.0), points(20, 2, 2.0)};
  const Adam<float> optimizer_{{.learning_rate = 0.05}};
  SolverOptions<float> options_;
  const TemporaryFolder folder_;
};

// At every place, one at a time, be it a tensor's memory or other memory: afterwards the Solver goes on to
// the bits of an undisturbed run, and so does another that takes up a checkpoint of it.
TEST_F(OneFailedAllocation, TearsNothing) {
  const Outcome expected = undisturbed();
  const std::string file = folder_ / "checkpoint";
  for (Allowance* allowance : {&of_others, &of_tensors}) {
    std::int64_t n = 0;
    for (bool failed = true; failed; ++n) {
      Sequential<float> net = dense_net<float>(), other = dense_net<float>();
      Solver<float> solver(net, data_, optimizer_, options_), second(other, data_, optimizer_, options_);
      failed = train_to_failure(solver, *allowance, n);
      if (n % 4 == 0 || n < 200) {
        solver.save_checkpoint(file);
        second.load_checkpoint(file);
        const History history = second.train();
        ASSERT_TRUE(Outcome(other, history) == expected)
            << "a checkpoint after allocation " << n << " failed";
      }
      const History history = solver.train();
      ASSERT_TRUE(Outcome(net, history) == expected) << "after allocation " << n << " failed";
    }
    EXPECT_GT(n, 100);
  }
}

// The same for what train() writes: no file is missing, or of another state than at its place in training.
TEST_F(OneFailedAllocation, LeavesNoFileOut) {
  options_.epochs = 2;
  const auto files = [&](const char* name) {
    const std::string folder = folder_ / name;
    options_.checkpoints = CheckpointOptions{.folder = folder, .keep_last = 100};
    return folder;
  };
  const std::string right = files("right");
  const Outcome expected = undisturbed();
  std::int64_t n = 0;
  for (bool failed = true; failed; n += 1 + n / 20) {
    const std::string folder = files("tried");
    Sequential<float> net = dense_net<float>();
    Solver<float> solver(net, data_, optimizer_, options_);
    failed = train_to_failure(solver, of_others, n);
    const History history = solver.train();
    ASSERT_TRUE(Outcome(net, history) == expected) << "after allocation " << n << " failed";
    for (const auto& entry : std::filesystem::directory_iterator(right)) {
      const auto written = std::filesystem::path(folder) / entry.path().filename();
      StateDict of_right = read_safetensors(entry.path()), of_tried = read_safetensors(written);
      for (StateDict* state : {&of_right, &of_tried})  // without the time it took
        state->metadata.clear(), state->tensors.erase("history.epochs");
      ASSERT_TRUE(of_right == of_tried) << written << " after allocation " << n << " failed";
    }
    std::filesystem::remove_all(folder);
  }
  EXPECT_GT(n, 1000);
}

}  // namespace
}  // namespace strata
