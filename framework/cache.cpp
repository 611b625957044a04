#include "strata/framework/cache.hpp"

#include <algorithm>
#include <atomic>
#include <unistd.h>

namespace strata {
namespace {

Index of_system() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  return std::max<Index>(0, sysconf(_SC_LEVEL2_CACHE_SIZE));
#else
  return 0;
#endif
}

std::atomic<Index>& bytes_in_use() {
  static std::atomic<Index> bytes = of_system();
  return bytes;
}

}  // namespace

Index l2_cache_bytes() {
  return bytes_in_use();
}

void set_l2_cache_bytes(Index bytes) {
  bytes_in_use() = bytes;
}

}  // namespace strata
