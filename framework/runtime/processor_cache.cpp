#include "strata/framework/runtime/processor_cache.hpp"

#include <algorithm>
#include <atomic>
#include <unistd.h>

namespace strata {
namespace {

#ifdef _SC_LEVEL2_CACHE_SIZE
constexpr int kL2Bytes = _SC_LEVEL2_CACHE_SIZE, kL1Ways = _SC_LEVEL1_DCACHE_ASSOC;
#else
constexpr int kL2Bytes = -1, kL1Ways = -1;  // which no system knows
#endif

Index of_system(int name) {
  return std::max<Index>(0, sysconf(name));
}

std::atomic<Index>& bytes_in_use() {
  static std::atomic<Index> bytes = of_system(kL2Bytes);
  return bytes;
}

std::atomic<Index>& ways_in_use() {
  static std::atomic<Index> ways = of_system(kL1Ways);
  return ways;
}

}  // namespace

Index l2_cache_bytes() {
  return bytes_in_use();
}

void set_l2_cache_bytes(Index bytes) {
  bytes_in_use() = bytes;
}

Index l1_cache_ways() {
  return ways_in_use();
}

void set_l1_cache_ways(Index ways) {
  ways_in_use() = ways;
}

}  // namespace strata
