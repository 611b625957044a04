// What the environment says is read once in the life of a process: each case runs in one of its own.
#include <cstdlib>
#include <iostream>
#include <sched.h>
#include <sys/sysinfo.h>

#include <gtest/gtest.h>

#include "strata/framework/error.hpp"
#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/memory.hpp"
#include "strata/framework/runtime/parallel.hpp"

namespace strata {
namespace {

class EnvironmentDeathTest : public testing::Test {
 protected:
  EnvironmentDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

// Ends the process: with what `body` returns, or with the message of its ArgumentError on stderr.
template <class Body>
[[noreturn]] void leave_with(const Body& body) {
  try {
    std::exit(body());
  } catch (const ArgumentError& error) {
    std::cerr << error.what();
    std::exit(99);
  }
}

TEST_F(EnvironmentDeathTest, ChoosesTheNumberOfThreads) {
  const auto with = [](const char* text) {
    setenv("STRATA_NUM_THREADS", text, 1);
    leave_with(num_threads);
  };
  EXPECT_EXIT(with("3"), testing::ExitedWithCode(3), "");
  EXPECT_EXIT(with("1"), testing::ExitedWithCode(1), "");
  const int most = std::max(8, 4 * get_nprocs_conf());
  for (const std::string& wrong :
       {std::string("0"), std::to_string(most + 1), std::string("-1"), std::string("2x"), std::string()})
    EXPECT_EXIT(
        with(wrong.c_str()), testing::ExitedWithCode(99),
        "STRATA_NUM_THREADS must be a number from 1 to " + std::to_string(most) + ", got '" + wrong + "'");
  EXPECT_THROW(set_num_threads(most + 1), ArgumentError);
  EXPECT_THROW(set_num_threads(0), ArgumentError);
}

TEST_F(EnvironmentDeathTest, AnAffinityMaskLimitsTheNumberOfThreads) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  if (CPU_COUNT(&allowed) < 2) GTEST_SKIP() << "needs a second processor";
  const auto on_one = [&](const char* text) {
    text ? setenv("STRATA_NUM_THREADS", text, 1) : unsetenv("STRATA_NUM_THREADS");
    int first = 0;
    while (!CPU_ISSET(first, &allowed)) ++first;
    CPU_ZERO(&allowed);
    CPU_SET(first, &allowed);
    if (sched_setaffinity(0, sizeof allowed, &allowed) != 0) std::exit(98);
    leave_with(num_threads);
  };
  EXPECT_EXIT(on_one(nullptr), testing::ExitedWithCode(1), "");
  EXPECT_EXIT(on_one("2"), testing::ExitedWithCode(2), "");
}

TEST_F(EnvironmentDeathTest, LimitsTheBlockCache) {
  const auto with = [](const char* text) {
    text ? setenv("STRATA_CACHED_MEMORY_LIMIT", text, 1) : unsetenv("STRATA_CACHED_MEMORY_LIMIT");
    leave_with([text] {
      const std::size_t limit = text ? 100'000 : 2'000'000;
      for (std::size_t bytes = 10'000; bytes < 1'000'000; bytes += 10'000) {
        detail::release_block(detail::acquire_block(bytes), bytes);
        if (memory_statistics().cached > cached_memory_limit()) return 1;
      }
      set_cached_memory_limit(7);
      if (cached_memory_limit() != 7) return 2;
      set_cached_memory_limit({});
      return cached_memory_limit() <= limit + limit / 8 && cached_memory_limit() >= limit - limit / 8 ? 3 : 4;
    });
  };
  EXPECT_EXIT(with(nullptr), testing::ExitedWithCode(3), "");
  EXPECT_EXIT(with("100000"), testing::ExitedWithCode(3), "");
  for (const char* wrong : {"-1", "1e6", "64M", "", "9223372036854775808"})
    EXPECT_EXIT(with(wrong), testing::ExitedWithCode(99),
                "STRATA_CACHED_MEMORY_LIMIT must be a number from 0 to 9223372036854775807, got '" +
                    std::string(wrong) + "'");
}

TEST_F(EnvironmentDeathTest, ChoosesTheInstructionSet) {
  const auto with = [](const char* text) {
    setenv("STRATA_INSTRUCTION_SET", text, 1);
    leave_with([] { return instruction_set() == InstructionSet::generic ? 1 : 2; });
  };
  EXPECT_EXIT(with("generic"), testing::ExitedWithCode(1), "");
  if (is_available(InstructionSet::avx2)) {
    EXPECT_EXIT(with("avx2"), testing::ExitedWithCode(2), "");
  }
  EXPECT_EXIT(with("abacus"), testing::ExitedWithCode(99),
              "STRATA_INSTRUCTION_SET: expected generic, avx2 or avx512, and one that this processor and "
              "this build have; "
              "got 'abacus'");
}

}  // namespace
}  // namespace strata
