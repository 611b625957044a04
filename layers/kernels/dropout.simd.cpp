// Over the plain loop: 1. Philox in vectors of counters; 2. the mask has one bit a unit, an eighth of the
// memory of bytes.
#include "strata/layers/kernels/dropout.hpp"

#include "strata/framework/philox.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/simd/bit_mask.hpp"

namespace strata::kernels {
namespace {

void draw(std::uint64_t seed, std::uint64_t stream, std::uint32_t threshold, Index first_byte, Index bytes,
          std::uint8_t* kept) {
  for (Index done = 0; done < bytes; done += kCounters) {
    Words bits{};
    for (unsigned half = 0; half < 2; ++half) {  // of a byte: the four words of one counter
      Words a, b, c, d;
      philox(seed, stream, 2 * static_cast<std::uint64_t>(first_byte + done) + half, 2, a, b, c, d);
      for (int i = 0; i < kCounters; ++i)
        bits[i] |= (std::uint32_t{a[i] >= threshold} | std::uint32_t{b[i] >= threshold} << 1 |
                    std::uint32_t{c[i] >= threshold} << 2 | std::uint32_t{d[i] >= threshold} << 3)
                   << (4 * half);
    }
    const Index wanted = bytes - done < kCounters ? bytes - done : kCounters;
    for (Index i = 0; i < wanted; ++i) kept[done + i] = static_cast<std::uint8_t>(bits[i]);
  }
}

template <class T>
void apply(T* values, const std::uint8_t* kept, T scale, Index count) {
  using Batch = xsimd::batch<T>;
  Index i = 0;
  for (; i + kMaskGroup<T> <= count; i += kMaskGroup<T>) {
    const unsigned bits = load_group<T>(kept + i / 8);
    for (Index j = 0; j < kMaskGroup<T>; j += kLanes<T>) {
      const Batch scaled = Batch::load_unaligned(values + i + j) * Batch(scale);
      xsimd::select(from_bits<T>(bits >> j), scaled, Batch(T{0})).store_unaligned(values + i + j);
    }
  }
  for (; i < count; ++i) values[i] = test_bit(kept, i) ? scale * values[i] : T{0};
}

constexpr DropoutMask kDraw{draw};
template <class T>
constexpr MaskedScale<T> kTable{apply<T>};

}  // namespace

STRATA_KERNEL_TABLE(kDraw);
STRATA_KERNEL_TABLE(kTable<float>);
STRATA_KERNEL_TABLE(kTable<double>);

}  // namespace strata::kernels
