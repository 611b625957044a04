// What the fuzzers share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace strata::fuzz {

/// While one lives, the program stops with a find if more than `limit` bytes are allocated at once beyond
/// those that were when it began.
class AllocationGuard {
 public:
  explicit AllocationGuard(std::size_t limit);
  ~AllocationGuard();
  AllocationGuard(const AllocationGuard&) = delete;
  AllocationGuard& operator=(const AllocationGuard&) = delete;
};

/// A reader may take twice the size of its file, and this for its messages and for buffers of fixed size.
inline constexpr std::size_t kSlack = 256 << 10;

/// The path of a file in memory that holds the bytes until the next call.
const std::string& as_file(std::span<const std::uint8_t> bytes);

/// libFuzzer's mutation; every other time the header's length is put right, for most to be seen behind it.
std::size_t mutate_safetensors(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);

/// The same, and three times out of four the checksum is put right.
std::size_t mutate_checkpoint(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);

/// Stops the program with a find.
void require(bool condition);

}  // namespace strata::fuzz
