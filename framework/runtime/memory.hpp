// Blocks of memory that are used again: fresh pages cost more than the arithmetic done on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <type_traits>

#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// Totals of the block cache, in bytes; `system_allocations` counts blocks of 4 KB and more asked of the
/// system.
struct MemoryStatistics {
  std::size_t in_use = 0;
  std::size_t peak = 0;
  std::size_t cached = 0;
  std::uint64_t system_allocations = 0;
};

MemoryStatistics memory_statistics();

/// Gives the blocks that no tensor uses back to the system.
void release_cached_memory();

/// How many bytes of blocks that no tensor uses are kept at most; what is more goes back to the system, what
/// has not been used for longest first. Default: STRATA_CACHED_MEMORY_LIMIT if set, in bytes, otherwise twice
/// the peak in use (steps of the same shape keep 1 to 1.7 times their peak). Throws ArgumentError if the
/// variable is no number from 0 to 2^63 - 1.
std::size_t cached_memory_limit();
/// Changes it, at once; nothing: back to the default.
void set_cached_memory_limit(std::optional<std::size_t> bytes);

namespace detail {
/// A block of at least `bytes`, aligned to 64 bytes. Throws std::bad_alloc.
void* acquire_block(std::size_t bytes);
void release_block(void* block, std::size_t bytes) noexcept;
/// Sets a block to zero; on Linux, whole pages of it go back to the system, which gives clear ones when they
/// are used.
void clear_block(void* block, std::size_t bytes);
}  // namespace detail

/// An allocator for tensors: large freed blocks are kept and handed out again. Safe from any thread.
template <class T>
struct RecyclingAllocator {
  using value_type = T;
  using is_always_equal = std::true_type;

  RecyclingAllocator() = default;
  template <class U>
  RecyclingAllocator(const RecyclingAllocator<U>&) noexcept {}

  T* allocate(std::size_t n) {
    if (n > PTRDIFF_MAX / sizeof(T)) throw std::bad_array_new_length();  // whose bytes cannot be counted
    return static_cast<T*>(detail::acquire_block(n * sizeof(T)));
  }
  void deallocate(T* p, std::size_t n) noexcept { detail::release_block(p, n * sizeof(T)); }

  template <class U>
  bool operator==(const RecyclingAllocator<U>&) const noexcept {
    return true;
  }
};

}  // namespace strata
