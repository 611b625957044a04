// Philox 4x32-10 (Salmon et al., SC 2011), many counters at a time.
#pragma once

#include <cstdint>

#include "strata/framework/index.hpp"

namespace strata::kernels {

struct RandomBits {
  /// bits[i] = what Random(seed, stream).bits() gives at position first + i.
  void (*fill)(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, Index count,
               std::uint64_t* bits);
};

constexpr int kCounters = 64;  // computed side by side; so many that GCC makes vectors rather than unroll

/// The same word of each of kCounters blocks.
using Words = std::uint32_t[kCounters];

/// The blocks at first, first + step, first + 2 step, …: words a, b, c and d of each. One loop a round, so
/// that the counters become the lanes of vectors.
[[gnu::always_inline]] inline void philox(std::uint64_t seed, std::uint64_t stream, std::uint64_t first,
                                          std::uint64_t step, Words& a, Words& b, Words& c, Words& d) {
  const auto low = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  for (int i = 0; i < kCounters; ++i) {
    const std::uint64_t index = first + step * static_cast<std::uint64_t>(i);
    a[i] = low(index);
    b[i] = low(index >> 32);
    c[i] = low(stream);
    d[i] = low(stream >> 32);
  }
  std::uint32_t key0 = low(seed), key1 = low(seed >> 32);
  for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9, key1 += 0xBB67AE85)
    for (int i = 0; i < kCounters; ++i) {
      const std::uint64_t p = std::uint64_t{0xD2511F53} * a[i], q = std::uint64_t{0xCD9E8D57} * c[i];
      a[i] = static_cast<std::uint32_t>(q >> 32) ^ b[i] ^ key0;
      b[i] = static_cast<std::uint32_t>(q);
      c[i] = static_cast<std::uint32_t>(p >> 32) ^ d[i] ^ key1;
      d[i] = static_cast<std::uint32_t>(p);
    }
}

}  // namespace strata::kernels
