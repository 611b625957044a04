// Dropout's random mask, and its use.
#pragma once

#include <cstdint>

#include "strata/framework/index.hpp"

namespace strata::kernels {

struct DropoutMask {
  /// Word e % 4 of Random(seed, stream).block(e / 4) decides for element e: bit e - 8 * first_byte of `kept`
  /// is 1 where it is at least `threshold`. Fills `bytes` bytes.
  void (*draw)(std::uint64_t seed, std::uint64_t stream, std::uint32_t threshold, Index first_byte,
               Index bytes, std::uint8_t* kept);
};

template <class T>
struct MaskedScale {
  /// values[i] = kept ? scale * values[i] : 0.
  void (*apply)(T* values, const std::uint8_t* kept, T scale, Index count);
};

}  // namespace strata::kernels
