// Hashes of memory.
#pragma once

#include <cstdint>

#include "strata/framework/index.hpp"

namespace strata::kernels {

struct Hash {
  std::uint64_t low;
  std::uint64_t high;
  bool operator==(const Hash&) const = default;
};

struct Hashing {
  /// XXH3 of 128 bits: the same for every instruction set.
  Hash (*of)(const void* data, Index bytes);
};

}  // namespace strata::kernels
