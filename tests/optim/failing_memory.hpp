// Memory that runs out when a test says so: the operators new of the whole program.
#pragma once

#include <atomic>
#include <cstdint>
#include <new>

namespace strata::testing_memory {

inline constexpr std::int64_t kUnlimited = -1;

/// How many allocations are granted before one fails, and those after it unless it is to fail alone.
struct Allowance {
  std::atomic<std::int64_t> left{kUnlimited};
  std::atomic<bool> one_fails = false;

  // Counts down to 0 and leaves kUnlimited alone, whatever other threads do meanwhile: a loader's worker may
  // still ask for memory when the test has lifted the limit.
  void take() {
    std::int64_t now = left;
    while (now != kUnlimited) {
      if (now == 0 && !one_fails) throw std::bad_alloc();
      if (!left.compare_exchange_weak(now, now == 0 ? kUnlimited : now - 1)) continue;
      if (now == 0) throw std::bad_alloc();
      return;
    }
  }
};

/// Of tensors, whose memory is aligned, and of lists, texts, threads and all else.
inline Allowance of_tensors, of_others;

}  // namespace strata::testing_memory
