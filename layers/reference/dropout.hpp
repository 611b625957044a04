// Dropout from its formula: what Dropout and Dropout2D compute in training. (In evaluation y = x and dx =
// dy.) Read it beside the layers' headers.
//
// The elements of x fall into units: single elements, or whole channels of images. Each unit is dropped with
// probability p, all else is stretched so that the expected value stays what it is:
//
//   y = m x,   m = 0 with probability p, else 1 / (1 - p);   E[y] = (1 - p) x / (1 - p) = x
//
// Backward. m does not depend on x, so dx = m dy: the same function, with the same mask.
//
// Whether unit u is kept is a pure function of (seed, step, u): word u % 4 of block u / 4 of a random stream,
// which is uniform in [0, 2^32), is compared with p 2^32. No order of drawing can change the mask.
#pragma once

#include <algorithm>
#include <cmath>

#include "strata/framework/random.hpp"
#include "strata/layers/reference/bit_mask.hpp"

namespace strata::reference {

/// A random word below this means: drop. It is p 2^32.
inline std::uint32_t dropout_threshold(double p) {
  return static_cast<std::uint32_t>(std::min(std::round(p * 0x1p32), 0x1p32 - 1));
}

/// Bit u of `kept` tells whether unit u is kept. Writes mask_bytes(units) bytes in full.
inline void draw_dropout_mask(std::uint64_t seed, std::uint64_t step, double p, Index units,
                              std::uint8_t* kept) {
  const Random words(seed, step);
  const std::uint32_t threshold = dropout_threshold(p);
  std::fill_n(kept, mask_bytes(units), std::uint8_t{0});
  for (Index u = 0; u < 8 * mask_bytes(units); ++u) {
    const auto position = static_cast<std::uint64_t>(u);
    set_bit(kept, u, words.block(position / 4)[position % 4] >= threshold);
  }
}

/// y = x / (1 - p) where its unit is kept, else 0; of dy it makes dx. `unit` neighbors are kept or dropped
/// together. y may be x.
template <class T>
void dropout(Index count, Index unit, double p, const std::uint8_t* kept, const T* x, T* y) {
  const auto scale = static_cast<T>(1 / (1 - p));
  for (Index i = 0; i < count; ++i) y[i] = get_bit(kept, i / unit) ? scale * x[i] : T{0};
}

}  // namespace strata::reference
