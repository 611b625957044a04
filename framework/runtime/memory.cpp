#include "strata/framework/runtime/memory.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <mutex>
#include <new>
#include <optional>
#include <unordered_map>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "strata/framework/runtime/address_sanitizer.hpp"
#include "strata/framework/runtime/environment.hpp"
#include "strata/framework/runtime/fork.hpp"

namespace strata {
namespace {

constexpr std::align_val_t kAlignment{64};
// Below, malloc is as good. Blocks of some ten KB it gives back to the system, page by page, as soon as they
// are freed at the end of its heap, which costs a small network a fifth of its time.
constexpr std::size_t kRecycledFrom = std::size_t{4} << 10;

constexpr std::size_t kPeaksKept = 2;

constexpr bool kRecycle = !STRATA_ADDRESS_SANITIZED;  // so that the sanitizer sees every use after free

// Sizes are rounded up to eight steps an octave: at most 12.5 % are wasted, and a last, smaller batch finds
// blocks to fit.
std::size_t size_class(std::size_t bytes) {
  const std::size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

struct FreeBlock {
  void* data;
  const void* last_user;
  std::uint64_t freed;  // blocks were freed before it
};

std::optional<std::size_t> default_limit() {
  return detail::number_from_environment("STRATA_CACHED_MEMORY_LIMIT", 0, INT64_MAX);
}

struct Cache {
  std::size_t limit() const { return chosen_limit.value_or(kPeaksKept * statistics.peak); }

  detail::Mutex mutex;
  std::unordered_map<std::size_t, std::vector<FreeBlock>> free_blocks;  // those of a size as they were freed
  std::uint64_t blocks_freed = 0;
  MemoryStatistics statistics;
  std::optional<std::size_t> chosen_limit = default_limit();
};

// Tells threads apart.
const void* this_thread() {
  thread_local const char mark = 0;
  return &mark;
}

// Of the blocks freed last, one that the calling thread has freed, if there is any: the lines of the others
// would have to come from another core's cache. There is at least one block.
void* take_block(std::vector<FreeBlock>& blocks) {
  constexpr std::ptrdiff_t kLookedAt = 16;
  const auto end = blocks.rbegin() + std::min(kLookedAt, std::ssize(blocks));
  auto found = std::find_if(blocks.rbegin(), end, [user = this_thread()](const FreeBlock& block) {
    return block.last_user == user;
  });
  if (found == end) found = blocks.rbegin();
  void* data = found->data;
  blocks.erase(std::next(found).base());
  return data;
}

// The block that has been free for longest, if there is more than the limit.
void* take_stale_block(Cache& c) {
  const std::scoped_lock lock(c.mutex);
  if (c.statistics.cached <= c.limit()) return nullptr;
  const auto freed = [](const auto& of_size) {
    return of_size.second.empty() ? UINT64_MAX : of_size.second.front().freed;
  };
  auto& [bytes, blocks] =
      *std::min_element(c.free_blocks.begin(), c.free_blocks.end(),
                        [&](const auto& a, const auto& b) { return freed(a) < freed(b); });
  void* const data = blocks.front().data;
  blocks.erase(blocks.begin());
  c.statistics.cached -= bytes;
  return data;
}

void keep_limit(Cache& c) {
  while (void* const block = take_stale_block(c)) ::operator delete(block, kAlignment);
}

Cache& cache() {
  static constinit detail::Lazy<Cache> instance;
  return instance.get([] { return Cache{}; });
}

}  // namespace

MemoryStatistics memory_statistics() {
  const std::scoped_lock lock(cache().mutex);
  return cache().statistics;
}

void release_cached_memory() {
  const std::scoped_lock lock(cache().mutex);
  for (auto& [bytes, blocks] : cache().free_blocks)
    for (const FreeBlock& block : blocks) ::operator delete(block.data, kAlignment);
  cache().free_blocks.clear();
  cache().statistics.cached = 0;
}

std::size_t cached_memory_limit() {
  const std::scoped_lock lock(cache().mutex);
  return cache().limit();
}

void set_cached_memory_limit(std::optional<std::size_t> bytes) {
  if (!bytes) bytes = default_limit();
  {
    const std::scoped_lock lock(cache().mutex);
    cache().chosen_limit = bytes;
  }
  keep_limit(cache());
}

namespace detail {

void* acquire_block(std::size_t bytes) {
  if (bytes < kRecycledFrom) return ::operator new(std::max<std::size_t>(bytes, 1), kAlignment);
  if (bytes > PTRDIFF_MAX) throw std::bad_array_new_length();
  const std::size_t rounded = size_class(bytes);
  Cache& c = cache();
  {
    const std::scoped_lock lock(c.mutex);
    if (const auto found = c.free_blocks.find(rounded);
        found != c.free_blocks.end() && !found->second.empty()) {
      void* block = take_block(found->second);
      c.statistics.cached -= rounded;
      c.statistics.in_use += rounded;
      c.statistics.peak = std::max(c.statistics.peak, c.statistics.in_use);
      return block;
    }
  }
  void* block;
  try {
    block = ::operator new(rounded, kAlignment);
  } catch (const std::bad_alloc&) {  // what lies in the cache may be what is missing
    release_cached_memory();
    block = ::operator new(rounded, kAlignment);
  }
  const std::scoped_lock lock(c.mutex);
  ++c.statistics.system_allocations;
  c.statistics.in_use += rounded;
  c.statistics.peak = std::max(c.statistics.peak, c.statistics.in_use);
  return block;
}

void release_block(void* block, std::size_t bytes) noexcept {
  if (bytes < kRecycledFrom) {
    ::operator delete(block, kAlignment);
    return;
  }
  const std::size_t rounded = size_class(bytes);
  Cache& c = cache();
  {
    const std::scoped_lock lock(c.mutex);
    c.statistics.in_use -= rounded;
    if (kRecycle) {
      try {
        c.free_blocks[rounded].push_back({block, this_thread(), c.blocks_freed++});
        c.statistics.cached += rounded;
        block = nullptr;
      } catch (const std::bad_alloc&) {  // no room to remember it: give it back
      }
    }
    if (c.statistics.cached <= c.limit() && !block) return;
  }
  ::operator delete(block, kAlignment);
  keep_limit(c);
}

void clear_block(void* block, std::size_t bytes) {
  if (bytes == 0) return;  // an empty tensor's block may be null
#if defined(__linux__)     // elsewhere pages that are not needed may keep what they hold
  constexpr std::size_t kWorthACall = std::size_t{64} << 10;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(block), end = begin + bytes;
  const std::uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
  // Refused for memory that is locked.
  if (bytes >= kWorthACall && ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED) == 0) {
    std::memset(block, 0, first - begin);
    std::memset(reinterpret_cast<void*>(last), 0, end - last);
    return;
  }
#endif
  std::memset(block, 0, bytes);
}

}  // namespace detail
}  // namespace strata
