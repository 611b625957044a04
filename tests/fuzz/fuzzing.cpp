#include "tests/fuzz/fuzzing.hpp"

#include <atomic>
#include <cstring>
#include <sanitizer/allocator_interface.h>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

#include "strata/framework/error.hpp"
#include "strata/framework/io/checksum.hpp"
#include "strata/framework/io/safetensors.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace strata::fuzz {
namespace {

std::atomic<std::size_t> in_use{0};
std::atomic<std::size_t> most_in_use{SIZE_MAX};
std::atomic<std::size_t> most_at_once{SIZE_MAX};

void count_allocation(const volatile void*, std::size_t size) {
  if (size <= most_at_once && (in_use += size) <= most_in_use) return;
  most_at_once = most_in_use = SIZE_MAX;  // libFuzzer allocates when it saves the find
  require(false);
}

void count_release(const volatile void* block) {
  if (block) in_use -= __sanitizer_get_allocated_size(block);
}

// Blocks from before the hooks must not make the count negative.
const bool hooks_are_installed = [] {
  in_use = __sanitizer_get_current_allocated_bytes();
  return __sanitizer_install_malloc_and_free_hooks(count_allocation, count_release) > 0;
}();

}  // namespace

AllocationGuard::AllocationGuard(std::size_t content, std::size_t times, std::size_t fixed) {
  require(hooks_are_installed);
  most_at_once = 2 * content + fixed;
  most_in_use = in_use + times * content + 8 * fixed;
}

AllocationGuard::~AllocationGuard() {
  most_at_once = SIZE_MAX;
  most_in_use = SIZE_MAX;
}

const std::string& as_file(std::span<const std::uint8_t> bytes) {
  static const int descriptor = memfd_create("fuzz", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  require(pwrite(descriptor, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  require(ftruncate(descriptor, static_cast<off_t>(bytes.size())) == 0);
  return path;
}

std::size_t mutate_safetensors(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, most);
  if (seed % 2 == 0 || size < 9) return size;
  const auto* end = static_cast<const std::uint8_t*>(memrchr(data + 8, '}', size - 8));
  const std::uint64_t length = end ? static_cast<std::uint64_t>(end - data) - 7 : size - 8;
  std::memcpy(data, &length, sizeof length);
  return size;
}

std::size_t mutate_checkpoint(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  size = mutate_safetensors(data, size, most, seed);
  constexpr std::string_view key = R"("strata.crc32":")";
  auto* const found = static_cast<std::uint8_t*>(memmem(data, size, key.data(), key.size()));
  if (seed / 2 % 4 == 0 || !found || data + size - found < static_cast<std::ptrdiff_t>(key.size()) + 8)
    return size;
  try {
    StateDict state = parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz");
    detail::add_checksum(state);
    std::memcpy(found + key.size(), state.metadata.at("strata.crc32").data(), 8);
  } catch (const DataError&) {
  }
  return size;
}

void require(bool condition) {
  if (!condition) __builtin_trap();
}

}  // namespace strata::fuzz
