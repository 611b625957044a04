// What the fuzzers share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace strata::fuzz {

/// While one lives, the program stops with a find if a reader takes too much memory for a file with `content`
/// bytes (those that a packed one unpacks to): in one allocation more than twice that, in all that is in use
/// at once more than `times` that. Messages and buffers of fixed size, which exceed a tiny file, come on top:
/// `fixed` bytes in one allocation, eight times as many in all.
class AllocationGuard {
 public:
  explicit AllocationGuard(std::size_t content, std::size_t times = 2, std::size_t fixed = 8 << 10);
  ~AllocationGuard();
  AllocationGuard(const AllocationGuard&) = delete;
  AllocationGuard& operator=(const AllocationGuard&) = delete;
};

/// For AllocationGuard's `times`: an entry of seven bytes ("a":"",) becomes a node of 96 bytes in a map, and
/// the file and its header lie beside. What the parser says about a token that is wrong holds the token ten
/// times.
inline constexpr std::size_t kTimesOfJson = 16;

/// The path of a file in memory that holds the bytes until the next call.
const std::string& as_file(std::span<const std::uint8_t> bytes);

/// libFuzzer's mutation; every other time the header's length is put right, for most to be seen behind it.
std::size_t mutate_safetensors(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);

/// The same, and three times out of four the checksum is put right.
std::size_t mutate_checkpoint(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);

/// Stops the program with a find.
void require(bool condition);

}  // namespace strata::fuzz
