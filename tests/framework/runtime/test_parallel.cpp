#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/error.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/runtime/thread_team.hpp"

namespace strata {
namespace {

using testing::Each;
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
  for (const Index pieces : {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 100, 1000, 100000}) {
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

TEST_P(Parallel, RethrowsOneOfManyExceptions) {
  for (int loop = 0; loop < 100; ++loop) {
    EXPECT_THAT(
        [] { parallel_for(16, [](Index piece) { throw ShapeError("piece " + std::to_string(piece)); }); },
        ThrowsMessage<ShapeError>(HasSubstr("piece ")));
    std::atomic<int> runs = 0;
    parallel_for(16, [&](Index) { ++runs; });
    ASSERT_EQ(runs, 16);
  }
}

TEST_P(Parallel, LetsGoOfWhatABodyThrew) {
  const auto thrown = std::make_shared<int>(7);
  for (int loop = 0; loop < 100; ++loop)
    EXPECT_THROW(parallel_for(4, [&](Index) { throw thrown; }), std::shared_ptr<int>);
  EXPECT_EQ(thrown.use_count(), 1);
}

TEST_P(Parallel, LeavesOutPiecesAfterAnException) {
  std::atomic<Index> runs = 0;
  EXPECT_THROW(parallel_for(1 << 20,
                            [&](Index) {
                              ++runs;
                              throw ShapeError("");
                            }),
               ShapeError);
  EXPECT_LE(runs, 1000);
}

TEST_P(Parallel, RunsLoopsThatFollowEachOtherClosely) {
  for (Index loop = 1; loop <= 10000; ++loop) {
    const Index pieces = 2 + loop % 7;
    // On the stack, where the next loop has its own: whoever came late would spoil that.
    std::array<Index, 8> values{};
    parallel_for(pieces, [&](Index piece) { values[piece] += loop + piece; });
    for (Index piece = 0; piece < 8; ++piece) ASSERT_EQ(values[piece], piece < pieces ? loop + piece : 0);
    if (loop % 1000 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // all go, and come again
    if (loop % 100 == 0) std::this_thread::sleep_for(std::chrono::microseconds(loop / 50));  // some might
  }
}

TEST_P(Parallel, SeesWhatCameBeforeAndShowsWhatItDid) {
  std::vector<Index> values(1000);
  for (int loop = 0; loop < 300; ++loop)  // each piece reads what another thread may have written
    parallel_for(10, [&, before = values](Index piece) {
      for (Index i = piece; i < 1000; i += 10) values[i] = before[(i + 1) % 1000] + 1;
    });
  EXPECT_THAT(values, Each(300));
}

TEST_P(Parallel, Nests) {
  for (int twice = 0; twice < 2; ++twice) {  // it is known then that this loop nests
    std::vector<std::atomic<int>> runs(100 * 50);
    parallel_for(100, [&](Index i) { parallel_for(50, [&](Index j) { ++runs[i * 50 + j]; }); });
    EXPECT_TRUE(all_once(runs));
  }
}

TEST_P(Parallel, NestsThreeDeepBetweenOtherLoops) {
  std::atomic<int> runs = 0;
  const auto innermost = [&](Index) { ++runs; };
  for (int loop = 0; loop < 200; ++loop) {
    parallel_for(4, innermost);
    parallel_for(2, [&](Index) { parallel_for(3, [&](Index) { parallel_for(4, innermost); }); });
  }
  EXPECT_EQ(runs, 200 * (4 + 2 * 3 * 4));
}

// Bodies may hold locks and use thread-local memory while they wait for a loop of their own.
TEST_P(Parallel, WaitsForAnInnerLoopWithoutTakingUpOtherWork) {
  std::atomic<int> taken_up = 0;
  for (int loop = 0; loop < 200; ++loop)
    parallel_for(6, [&](Index outer) {
      thread_local Index at = -1;
      if (at != -1) ++taken_up;
      at = outer;
      parallel_for(4, [&](Index inner) {
        if (at != -1 && at != outer) ++taken_up;
        for (int i = 0; i < 40 && inner % 2 == outer % 2; ++i) std::this_thread::yield();
      });
      at = -1;
    });
  EXPECT_EQ(taken_up, 0);
}

// The inner pieces wait for each other, so one of them needs the thread that has no outer piece (any more).
TEST_P(Parallel, UsesIdleThreadsForInnerLoops) {
  cpu_set_t processors;
  ASSERT_EQ(sched_getaffinity(0, sizeof(processors), &processors), 0);
  if (GetParam() < 2 || CPU_COUNT(&processors) < 2) GTEST_SKIP() << "needs a second thread";
  for (int loop = 0; loop < 10; ++loop) {
    std::atomic<bool> outer_done = false;
    std::atomic<int> inside = 0;
    parallel_for(2, [&](Index piece) {
      if (piece == 1) {
        outer_done = true;
        return;
      }
      while (!outer_done) std::this_thread::yield();
      parallel_for(2, [&](Index) {
        ++inside;
        while (inside < 2) std::this_thread::yield();
      });
    });
    EXPECT_EQ(inside, 2);
  }
}

TEST_P(Parallel, ThrowsThroughAnOuterLoop) {
  EXPECT_THAT(
      [] {
        parallel_for(4, [](Index) {
          parallel_for(4, [](Index piece) {
            if (piece == 3) throw ShapeError("inner piece");
          });
        });
      },
      ThrowsMessage<ShapeError>(HasSubstr("inner piece")));
}

TEST_P(Parallel, ServesSeveralThreadsAtOnce) {
  for (int time = 0; time < 100; ++time) {
    std::vector<std::atomic<int>> runs(4 * 500);
    std::vector<std::thread> threads;
    for (Index t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (Index i = 0; i < 500; i += 50) parallel_for(50, [&](Index j) { ++runs[t * 500 + i + j]; });
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(all_once(runs));
  }
}

TEST_P(Parallel, EachOfSeveralThreadsGetsItsOwnException) {
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (int loop = 0; loop < 200; ++loop) {
        try {
          parallel_for(6, [&](Index piece) {
            if (piece % 3 == t) throw ShapeError(std::to_string(t));
          });
        } catch (const ShapeError& error) {
          if (std::string(error.what()).find(std::to_string(t)) != std::string::npos) ++right;
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 3 * 200);
}

TEST_P(Parallel, ChangesTheNumberOfThreadsDuringLoops) {
  std::atomic<bool> stop = false;
  std::thread changes([&] {
    for (int count = 1; !stop; count = count % 4 + 1) set_num_threads(count);
  });
  std::atomic<int> runs = 0;
  for (int loop = 0; loop < 500; ++loop) parallel_for(20, [&](Index) { ++runs; });
  stop = true;
  changes.join();
  EXPECT_EQ(runs, 500 * 20);
}

TEST_P(Parallel, ChangesTheNumberOfThreadsInsideALoop) {
  std::atomic<int> runs = 0;
  for (int loop = 0; loop < 50; ++loop)
    parallel_for(8, [&](Index piece) {
      if (piece == 2) set_num_threads(1 + loop % 3);
      parallel_for(5, [&](Index) { ++runs; });
    });
  EXPECT_EQ(runs, 50 * 8 * 5);
}

INSTANTIATE_TEST_SUITE_P(Threads, Parallel, testing::Values(1, 2, 3, 8));

TEST(InsideLoop, KnowsWhetherTheLoopAroundHasMore) {
  std::atomic<bool> nests = false, of_inner = false;
  std::atomic<Index> not_begun = 1;
  EXPECT_FALSE(detail::InsideLoop::inside());
  EXPECT_FALSE(detail::InsideLoop::has_more());
  {
    const detail::InsideLoop outer(&nests, &not_begun);
    EXPECT_TRUE(detail::InsideLoop::has_more());
    {
      const detail::InsideLoop inner(&of_inner);
      EXPECT_FALSE(detail::InsideLoop::has_more());  // as far as anyone knows
      EXPECT_TRUE(detail::InsideLoop::nested());
    }
    EXPECT_TRUE(of_inner && !nests);
    EXPECT_TRUE(detail::InsideLoop::has_more());
    not_begun = 0;
    EXPECT_FALSE(detail::InsideLoop::has_more());
    std::thread([] { EXPECT_FALSE(detail::InsideLoop::inside()); }).join();
  }
  EXPECT_FALSE(detail::InsideLoop::inside());
}

TEST(ParallelMisuse, RefusesNoThreads) {
  const int before = num_threads();
  EXPECT_THAT([] { set_num_threads(0); }, ThrowsMessage<ArgumentError>(HasSubstr("got 0")));
  EXPECT_THAT([] { set_num_threads(-2); }, ThrowsMessage<ArgumentError>(HasSubstr("got -2")));
  EXPECT_EQ(num_threads(), before);
}

}  // namespace
}  // namespace strata
