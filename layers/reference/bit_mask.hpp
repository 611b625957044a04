// One bit for each of many things: what a rectifier and dropout remember of their input.
#pragma once

#include <cstdint>

#include "strata/framework/index.hpp"

namespace strata::reference {

/// Bytes that hold `count` bits. Bit i is bit i % 8 of byte i / 8.
inline Index mask_bytes(Index count) {
  return (count + 7) / 8;
}

inline bool get_bit(const std::uint8_t* mask, Index i) {
  return (mask[i / 8] >> (i % 8) & 1) != 0;
}

inline void set_bit(std::uint8_t* mask, Index i, bool value) {
  const unsigned bit = 1U << (i % 8);
  mask[i / 8] = static_cast<std::uint8_t>(value ? mask[i / 8] | bit : mask[i / 8] & ~bit);
}

}  // namespace strata::reference
