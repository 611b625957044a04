// Masks of one bit an element: element i is bit i % 8 of byte i / 8.
//
// For NAME.simd.cpp files only. Everything is in an anonymous namespace: were it shared between files, the
// linker could hand the code of one instruction set to another.
#pragma once

#include <cstdint>
#include <type_traits>

#include "strata/framework/index.hpp"
#include "strata/layers/kernels/simd/xsimd.hpp"

namespace strata::kernels {
namespace {

/// Elements in a batch.
template <class T>
constexpr Index kLanes = static_cast<Index>(xsimd::batch<T>::size);

/// Elements in the smallest number of whole batches that fills whole bytes.
template <class T>
constexpr Index kMaskGroup = kLanes<T> < 8 ? 8 : kLanes<T>;

/// Bit i is lane i.
template <class T>
inline unsigned to_bits(const xsimd::batch_bool<T>& lanes) {
#if defined(__AVX512F__)
  return static_cast<unsigned>(lanes.data);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return static_cast<unsigned>(_mm256_movemask_ps(lanes.data));
  else
    return static_cast<unsigned>(_mm256_movemask_pd(lanes.data));
#elif defined(__SSE2__)
  if constexpr (sizeof(T) == 4)
    return static_cast<unsigned>(_mm_movemask_ps(lanes.data));
  else
    return static_cast<unsigned>(_mm_movemask_pd(lanes.data));
#else
  bool flags[kLanes<T>];
  lanes.store_unaligned(flags);
  unsigned bits = 0;
  for (Index lane = 0; lane < kLanes<T>; ++lane) bits |= unsigned{flags[lane]} << lane;
  return bits;
#endif
}

/// Lane i is bit i.
template <class T>
inline xsimd::batch_bool<T> from_bits(unsigned bits) {
#if defined(__AVX512F__)
  return xsimd::batch_bool<T>(static_cast<typename xsimd::batch_bool<T>::register_type>(bits));
#else
  using Word = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  static constexpr Word kPowers[] = {1, 2, 4, 8, 16, 32, 64, 128};
  const auto power = xsimd::batch<Word>::load_unaligned(kPowers);
  return truth_as<T>((xsimd::batch<Word>(static_cast<Word>(bits)) & power) == power);
#endif
}

/// The bits of the group of kMaskGroup<T> elements that starts at `mask`.
template <class T>
inline unsigned load_group(const std::uint8_t* mask) {
  unsigned bits = mask[0];
  if constexpr (kMaskGroup<T> == 16) bits |= unsigned{mask[1]} << 8;
  return bits;
}

template <class T>
inline void store_group(std::uint8_t* mask, unsigned bits) {
  mask[0] = static_cast<std::uint8_t>(bits);
  if constexpr (kMaskGroup<T> == 16) mask[1] = static_cast<std::uint8_t>(bits >> 8);
}

inline bool test_bit(const std::uint8_t* mask, Index i) {
  return (mask[i / 8] >> (i % 8)) & 1;
}

}  // namespace
}  // namespace strata::kernels
