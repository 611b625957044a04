#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/error.hpp"
#include "strata/framework/parallel.hpp"

namespace strata {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

bool all_once(const std::vector<std::atomic<int>>& runs) {
  return std::all_of(runs.begin(), runs.end(), [](const auto& count) { return count == 1; });
}

class Parallel : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_num_threads(GetParam()); }
  void TearDown() override { set_num_threads(before_); }

 private:
  int before_ = num_threads();
};

TEST_P(Parallel, RunsEachPieceOnce) {
  EXPECT_EQ(num_threads(), GetParam());
  for (const Index pieces : {0, 1, 2, 1000}) {
    std::vector<std::atomic<int>> runs(static_cast<std::size_t>(pieces));
    parallel_for(pieces, [&](Index piece) { ++runs[piece]; });
    EXPECT_TRUE(all_once(runs));
  }
  parallel_for(-3, [](Index) { FAIL(); });
}

TEST_P(Parallel, CutsARangeWithoutGapOrOverlap) {
  for (const Index count : {0, 1, 99, 100, 101, 1000}) {
    std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
    std::atomic<bool> aligned = true;
    parallel_ranges(count, 100, [&](Index begin, Index end) {
      if (begin % 100 != 0 || end - begin > 100 || end <= begin) aligned = false;
      for (Index i = begin; i < end; ++i) ++runs[i];
    });
    EXPECT_TRUE(all_once(runs));
    EXPECT_TRUE(aligned);
  }
}

TEST_P(Parallel, OnePieceRunsOnTheCallingThread) {
  std::thread::id id;
  parallel_for(1, [&](Index) { id = std::this_thread::get_id(); });
  EXPECT_EQ(id, std::this_thread::get_id());
}

TEST_P(Parallel, RethrowsWhatABodyThrows) {
  EXPECT_THAT(
      [] {
        parallel_for(100, [](Index piece) {
          if (piece == 37) throw ShapeError("piece 37");
        });
      },
      ThrowsMessage<ShapeError>(HasSubstr("piece 37")));
  std::atomic<int> runs = 0;  // and works afterwards
  parallel_for(100, [&](Index) { ++runs; });
  EXPECT_EQ(runs, 100);
}

TEST_P(Parallel, Nests) {
  std::vector<std::atomic<int>> runs(100 * 50);
  parallel_for(100, [&](Index i) { parallel_for(50, [&](Index j) { ++runs[i * 50 + j]; }); });
  EXPECT_TRUE(all_once(runs));
}

TEST_P(Parallel, ServesSeveralThreadsAtOnce) {
  std::vector<std::atomic<int>> runs(4 * 500);
  std::vector<std::thread> threads;
  for (Index t = 0; t < 4; ++t)
    threads.emplace_back([&, t] { parallel_for(500, [&](Index i) { ++runs[t * 500 + i]; }); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(all_once(runs));
}

INSTANTIATE_TEST_SUITE_P(Threads, Parallel, testing::Values(1, 2, 5));

TEST(ParallelMisuse, RefusesNoThreads) {
  const int before = num_threads();
  EXPECT_THAT([] { set_num_threads(0); }, ThrowsMessage<ArgumentError>(HasSubstr("got 0")));
  EXPECT_THAT([] { set_num_threads(-2); }, ThrowsMessage<ArgumentError>(HasSubstr("got -2")));
  EXPECT_EQ(num_threads(), before);
}

}  // namespace
}  // namespace strata
