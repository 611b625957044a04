// Long trainings keep their size; a failed allocation costs nothing but an exception.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <unistd.h>

#include <gtest/gtest.h>

#include "strata/framework/io/weights.hpp"
#include "strata/framework/runtime/memory.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/normalization/batch_norm.hpp"
#include "strata/optim/adam.hpp"
#include "tests/optim/solver_fixtures.hpp"

namespace {

constexpr std::int64_t kUnlimited = -1;
std::atomic<std::int64_t> allocations_left{kUnlimited};

// Counts down to 0 and leaves kUnlimited alone, whatever other threads do meanwhile: a loader's worker may
// still ask for memory when the test has lifted the limit.
bool take_allocation() {
  std::int64_t left = allocations_left;
  while (left != kUnlimited)
    if (left == 0 || allocations_left.compare_exchange_weak(left, left - 1)) return left != 0;
  return true;
}

}  // namespace

// Every tensor's memory comes from here.
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (!take_allocation()) throw std::bad_alloc();
  const auto align = static_cast<std::size_t>(alignment);
  if (void* block = std::aligned_alloc(align, (size + align - 1) / align * align)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block, std::align_val_t) noexcept {
  std::free(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  std::free(block);
}

namespace strata {
namespace {

using namespace testing_solver;

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

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they need memory of their own
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

#if !defined(__SANITIZE_ADDRESS__)  // under which blocks are not used again
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
    allocations_left = n;
    try {
      solver.train();
      done = true;
    } catch (const std::bad_alloc&) {
    }
    allocations_left = kUnlimited;
    const History history = solver.train();
    ASSERT_TRUE(std::pair(capture(state_of(net, StateScope::all)), history.step_losses) == expected)
        << "after allocation " << n << " failed";
    ASSERT_EQ(history.epochs.size(), 2u);
  }
  EXPECT_GT(n, 100);
}

}  // namespace
}  // namespace strata
