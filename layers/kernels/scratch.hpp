// Working memory of one piece of work.
#pragma once

#include "strata/framework/index.hpp"
#include "strata/framework/runtime/memory.hpp"

namespace strata::kernels {

/// `count` uninitialized elements, aligned to 64 bytes, taken from the recycled blocks.
template <class T>
class Scratch {
 public:
  explicit Scratch(Index count)
      : count_(static_cast<std::size_t>(count)), data_(RecyclingAllocator<T>().allocate(count_)) {}
  ~Scratch() { RecyclingAllocator<T>().deallocate(data_, count_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() const { return data_; }

 private:
  std::size_t count_;
  T* data_;
};

}  // namespace strata::kernels
