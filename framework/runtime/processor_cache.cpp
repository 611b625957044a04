#include "strata/framework/runtime/processor_cache.hpp"

#include <algorithm>
#include <atomic>
#include <unistd.h>

#include "strata/framework/runtime/fork.hpp"

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

struct Caches {
  std::atomic<Index> l2_bytes = of_system(kL2Bytes);
  std::atomic<Index> l1_ways = of_system(kL1Ways);
};

Caches& caches() {
  static constinit detail::Lazy<Caches> instance;
  return instance.get([] { return Caches{}; });
}

}  // namespace

Index l2_cache_bytes() {
  return caches().l2_bytes;
}

void set_l2_cache_bytes(Index bytes) {
  caches().l2_bytes = bytes;
}

Index l1_cache_ways() {
  return caches().l1_ways;
}

void set_l1_cache_ways(Index ways) {
  caches().l1_ways = ways;
}

}  // namespace strata
