#include "tests/optim/failing_memory.hpp"

#include <cstdlib>

using strata::testing_memory::of_others;
using strata::testing_memory::of_tensors;

namespace {

void* checked(void* block) {
  if (!block) throw std::bad_alloc();
  return block;
}

}  // namespace

void* operator new(std::size_t size, std::align_val_t alignment) {
  of_tensors.take();
  const auto align = static_cast<std::size_t>(alignment);
  return checked(std::aligned_alloc(align, (size + align - 1) / align * align));
}
void operator delete(void* block, std::align_val_t) noexcept {
  std::free(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  std::free(block);
}

void* operator new(std::size_t size) {
  of_others.take();
  return checked(std::malloc(size));
}
// Else a sanitizer's would be found, whose memory the functions below cannot give back.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* block) noexcept {
  std::free(block);
}
void operator delete(void* block, const std::nothrow_t&) noexcept {
  std::free(block);
}
void operator delete(void* block, std::size_t) noexcept {
  std::free(block);
}
