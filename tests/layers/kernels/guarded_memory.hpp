// Memory whose neighbors may not be touched: a read or a write beside it ends the program, in any build.
#pragma once

#include <new>
#include <span>
#include <sys/mman.h>
#include <unistd.h>

#include "strata/framework/tensor.hpp"

namespace strata::testing {

/// On which side of the elements the first byte that may not be touched lies.
enum class Guard { before, behind };

/// Some pages between two that may not be touched. It is used again: each tensor takes the place of the last.
class GuardedMemory {
 public:
  explicit GuardedMemory(std::size_t bytes) : bytes_((bytes + kPage - 1) / kPage * kPage) {
    void* const all = mmap(nullptr, bytes_ + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) throw std::bad_alloc();
    first_ = static_cast<char*>(all) + kPage;
    if (mprotect(first_, bytes_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  }
  ~GuardedMemory() { munmap(first_ - kPage, bytes_ + 2 * kPage); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  /// Room for so many elements. Throws std::bad_alloc if there is not.
  template <class T>
  std::span<T> elements(std::size_t count, Guard guard) const {
    if (count > bytes_ / sizeof(T)) throw std::bad_alloc();
    char* const first = guard == Guard::before ? first_ : first_ + bytes_ - count * sizeof(T);
    return {reinterpret_cast<T*>(first), count};
  }
  /// A copy.
  template <class T>
  T* hold(const Tensor<T>& values, Guard guard) const {
    const std::span<T> place = elements<T>(values.size(), guard);
    std::copy_n(values.data(), values.size(), place.data());
    return place.data();
  }
  /// The same number of NaNs.
  template <class T>
  T* room_for(const Tensor<T>& values, Guard guard) const {
    const std::span<T> place = elements<T>(values.size(), guard);
    std::fill_n(place.data(), values.size(), std::numeric_limits<T>::quiet_NaN());
    return place.data();
  }

 private:
  static inline const auto kPage = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::size_t bytes_;
  char* first_;
};

}  // namespace strata::testing
