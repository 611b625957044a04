// fork() in a process with threads. A child has only the one that called it.
#include <atomic>
#include <chrono>
#include <functional>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>

#include "strata/framework/runtime/address_sanitizer.hpp"
#include "strata/framework/runtime/blas.hpp"
#include "strata/framework/runtime/fork.hpp"
#include "strata/strata.hpp"

#if defined(__SANITIZE_THREAD__)
#define STRATA_FORK_TEST_SKIPS \
  "the thread sanitizer ends a child that starts threads or frees another's memory"
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STRATA_FORK_TEST_SKIPS \
  "the thread sanitizer ends a child that starts threads or frees another's memory"
#endif
#endif

namespace strata {
namespace {

// What becomes of a child that runs `body`: 0 if that is true, 1 if not, 2 if it throws, more if it crashes
// or hangs.
int in_child(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(100);
    int status = 2;
    try {
      status = body() ? 0 : 1;
    } catch (...) {
    }
    _exit(status);  // what belongs to the parent is left alone
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

class Fork : public testing::Test {
 protected:
  void SetUp() override {
#if defined(STRATA_FORK_TEST_SKIPS)
    GTEST_SKIP() << STRATA_FORK_TEST_SKIPS;
#endif
    set_num_threads(4);
  }
  void TearDown() override {
    set_num_threads(threads_);
  }

 private:
  const int threads_ = num_threads();
};

// While one lives, a thread runs `body` again and again.
class Busy {
 public:
  explicit Busy(std::function<void()> body)
      : thread_([this, run = std::move(body)] {
          do {
            run();
            ran_ = true;
          } while (!stop_);
        }) {
    while (!ran_) std::this_thread::yield();
  }
  ~Busy() {
    stop_ = true;
    thread_.join();
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::atomic<bool> ran_ = false, stop_ = false;
  std::thread thread_;
};

TEST_F(Fork, WaitsForWhoeverHoldsIt) {
  std::atomic<bool> holds = false, has_let_go = false;
  std::thread other([&] {
    const detail::HoldFork hold;
    { const detail::HoldFork inner; }
    holds = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    has_let_go = true;
  });
  while (!holds) std::this_thread::yield();
  const unsigned forks = detail::forks();
  EXPECT_EQ(in_child([&] { return has_let_go && detail::forks() == forks + 1; }), 0);
  EXPECT_EQ(detail::forks(), forks);
  other.join();
  // A thread that is gone is not waited for.
  EXPECT_EQ(in_child([&] { return in_child([&] { return detail::forks() == forks + 2; }) == 0; }), 0);
}

TEST_F(Fork, TheChildComputesTheSameOnOneThread) {
  Sequential<float> net{Conv2D<float>{2, 8, 3, {.padding = 1}}, SpatialBatchNorm<float>{8}, ReLU<float>{},
                        Flatten<float>{}, Linear<float>{8 * 12 * 12, 5}};
  net.initialize(1);
  const auto x = Random(2).normal<float>({16, 2, 12, 12}), dy = Random(3).normal<float>({16, 5});
  const auto step = [&] {
    Sequential<float> copy(std::as_const(net));
    copy.forward(x);
    return copy.backward(dy);
  };
  const auto expected = step();
  const Inference<float> model{net};
  const auto expected_scores = model(x);
  const auto as_expected = [&] {
    Sequential<float> small{Linear<float>{3, 2}};  // of other shapes than have been seen
    small.infer(full<float>({4, 3}, 1));
    return step() == expected && model(x) == expected_scores;
  };

  const auto busy = [&] {
#if STRATA_ADDRESS_SANITIZED  // whose allocator does not survive a fork while another thread is inside
    std::vector<float> to(4000);
    return [to]() mutable {
      parallel_ranges(4000, 100, [&](Index begin, Index end) { std::fill(&to[begin], &to[end - 1], 1.0F); });
    };
#else
    return [&] {
      step();
      model(x);
    };
#endif
  };
  {
    const Busy first(busy()), second(busy());
    for (int i = 0; i < 10; ++i)
      ASSERT_EQ(in_child([&] {
                  set_num_threads(3);  // without effect
                  return num_threads() == 1 && as_expected();
                }),
                0);
  }
  EXPECT_EQ(num_threads(), 4);
  EXPECT_TRUE(as_expected());
}

// Small ones, of which much of the time goes into what surrounds them.
TEST_F(Fork, NoProductIsLeftHalfway) {
  struct Product {
    std::vector<double> a = std::vector<double>(16, 1), b = std::vector<double>(16, 2),
                        c = std::vector<double>(16);
    bool operator()() {
      for (int i = 0; i < 10; ++i)
        gemm<double>(Transpose::no, Transpose::no, 4, 4, 4, 1, a.data(), 4, b.data(), 4, 0, c.data(), 4);
      return c.front() == 8 && c.back() == 8;
    }
  };
  const Busy first((Product())), second((Product()));
  for (int i = 0; i < 40; ++i) ASSERT_EQ(in_child(Product()), 0) << i;
}

TEST_F(Fork, NoBlockIsLeftHalfway) {
#if STRATA_ADDRESS_SANITIZED
  GTEST_SKIP() << "the address sanitizer's allocator does not survive a fork while another thread is inside";
#endif
  const auto use_blocks = [] {
    for (int i = 0; i < 10; ++i) detail::release_block(detail::acquire_block(100'000), 100'000);
    return true;
  };
  const Busy first(use_blocks), second(use_blocks);
  for (int i = 0; i < 30; ++i) ASSERT_EQ(in_child(use_blocks), 0) << i;
}

// Sample i is i. To read the one at which it is closed waits until it is reached no more.
class Gated final : public Dataset {
 public:
  Index size() const override { return 20; }
  Shape sample_shape() const override { return {1}; }
  Index classes() const override { return 1; }
  std::int32_t label(Index) const override { return 0; }
  void read(Index i, std::span<float> sample) const override {
    if (i == closed_at) {
      reached = true;
      while (reached) std::this_thread::yield();
    }
    sample[0] = static_cast<float>(i);
  }

  mutable std::atomic<Index> closed_at = -1;
  mutable std::atomic<bool> reached = false;
};

std::vector<float> rest_of(DataLoader<float>& loader) {
  std::vector<float> samples;
  while (const auto batch = loader.next())
    samples.insert(samples.end(), batch->samples.begin(), batch->samples.end());
  return samples;
}

TEST_F(Fork, ALoaderGoesOnWhereItWas) {
  const auto data = std::make_shared<Gated>();
  DataLoader<float> loader(data, {.batch_size = 2, .shuffle = false});
  // Before the first epoch there is no thread to lose.
  EXPECT_EQ(in_child([&] {
              try {
                loader.next();
              } catch (const StateError&) {
                return true;
              }
              return false;
            }),
            0);
  data->closed_at = 5;  // of batch 2: while it is read, batch 1 is ready
  loader.start_epoch(0);
  ASSERT_EQ(loader.next()->samples(0), 0.0F);
  while (!data->reached) std::this_thread::yield();
  const std::vector<float> rest{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19};

  const auto open = [&] {
    data->closed_at = -1;
    data->reached = false;
  };
  EXPECT_EQ(in_child([&] {
              open();
              return rest_of(loader) == rest;
            }),
            0);
  EXPECT_EQ(in_child([&] {
              open();
              loader.start_epoch(1, 9);
              return rest_of(loader) == std::vector<float>{18, 19};
            }),
            0);
  EXPECT_EQ(in_child([&] {  // moved, assigned to, and destroyed
              open();
              std::optional<DataLoader<float>> other(std::move(loader));
              const bool goes_on = other->next()->samples(0) == 2;
              *other = DataLoader<float>(data, {.batch_size = 20, .shuffle = false});
              other->start_epoch(0);
              const bool is_another = other->next()->samples.size() == 20;
              other.reset();
              return goes_on && is_another;
            }),
            0);
  EXPECT_EQ(in_child([&] {
              std::optional<DataLoader<float>> other(std::move(loader));
              other.reset();  // at once
              return true;
            }),
            0);
  open();
  EXPECT_EQ(rest_of(loader), rest);
  EXPECT_EQ(in_child([&] { return !loader.next(); }), 0);  // the epoch has ended there, too
}

#if !defined(STRATA_FORK_TEST_SKIPS)
// In a process of its own, which has not run anything on several threads.
TEST(ForkDeathTest, AChildMayHaveThreadsIfTheParentHadNone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto runs_on_two = [] {
    set_num_threads(2);
    std::atomic<int> came = 0;
    parallel_for(2, [&](Index) {  // ends only if two threads are here
      ++came;
      while (came < 2) std::this_thread::yield();
    });
    return num_threads() == 2;
  };
  EXPECT_EXIT(_exit(in_child(runs_on_two)), testing::ExitedWithCode(0), "");
  const auto after_one_thread = [&] {
    set_num_threads(1);
    parallel_for(2, [](Index) {});
    return in_child(runs_on_two);
  };
  EXPECT_EXIT(_exit(after_one_thread()), testing::ExitedWithCode(0), "");
  const auto after_asking_for_two = [&] {
    set_num_threads(2);
    return in_child(runs_on_two);
  };
  EXPECT_EXIT(_exit(after_asking_for_two()), testing::ExitedWithCode(0), "");
  setenv("STRATA_NUM_THREADS", "1", 1);
  EXPECT_EXIT(_exit(after_one_thread()), testing::ExitedWithCode(0), "");
  unsetenv("STRATA_NUM_THREADS");
}
#endif

TEST(Lazy, IsMadeOnceByManyThreads) {
  static constinit detail::Lazy<int> value;
  std::atomic<int> times = 0;
  EXPECT_THROW(value.get([]() -> int { throw StateError("not yet"); }), StateError);
  std::vector<std::thread> threads;
  std::vector<const int*> got(4);
  for (auto& to : got) threads.emplace_back([&] { to = &value.get([&] { return ++times; }); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(times, 1);
  for (const int* to : got) {
    EXPECT_EQ(to, got[0]);
    EXPECT_EQ(*to, 1);
  }
}

}  // namespace
}  // namespace strata
