// Vectors of any length in GCC's notation, for what xsimd has no words for: vectors shorter than the
// instruction set's, conversions, shuffles of two.
//
// For NAME.simd.cpp files only. Everything is in an anonymous namespace: were it shared between files, the
// linker could hand the code of one instruction set to another.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "strata/framework/index.hpp"

namespace strata::kernels {
namespace {

#if defined(__AVX512F__)
constexpr Index kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr Index kVectorBytes = 32;
#else
constexpr Index kVectorBytes = 16;
#endif
template <class T>
constexpr Index kMostLanes = kVectorBytes / static_cast<Index>(sizeof(T));

template <class T, Index kLanes>
struct VectorOf {
  typedef T type __attribute__((vector_size(kLanes * sizeof(T))));
};
template <class T, Index kLanes>
using Vector = typename VectorOf<T, kLanes>::type;

template <class V, class T>
inline V load(const T* x) {
  V values;
  std::memcpy(&values, x, sizeof(V));
  return values;
}

template <class V, class T>
inline void store(const V& values, T* x) {
  std::memcpy(x, &values, sizeof(V));
}

// Floats as doubles. GCC would convert them by halves.
template <Index kLanes>
inline Vector<double, kLanes> widen(const Vector<float, kLanes>& from) {
#if defined(__AVX512F__)
  if constexpr (kLanes == 8)
    return reinterpret_cast<Vector<double, 8>>(_mm512_cvtps_pd(reinterpret_cast<__m256>(from)));
#endif
#if defined(__AVX__)
  if constexpr (kLanes == 4)
    return reinterpret_cast<Vector<double, 4>>(_mm256_cvtps_pd(reinterpret_cast<__m128>(from)));
#endif
#if defined(__SSE2__)
  if constexpr (kLanes == 2)
    return reinterpret_cast<Vector<double, 2>>(
        _mm_cvtps_pd(_mm_castpd_ps(_mm_set_sd(__builtin_bit_cast(double, from)))));
#endif
  return __builtin_convertvector(from, Vector<double, kLanes>);
}

// Converts elements. GCC has instructions for a change of integers' size by two; for others it would go
// element by element.
template <class To, Index kLanes, class From>
inline Vector<To, kLanes> convert(From from) {
  if constexpr (std::is_same_v<To, double> && std::is_same_v<From, Vector<float, kLanes>>)
    return widen<kLanes>(from);
  constexpr Index kBytes = static_cast<Index>(sizeof(From)) / kLanes,
                  kWanted = static_cast<Index>(sizeof(To));
  constexpr bool kIntegers = std::is_integral_v<To>;
  if constexpr (kIntegers && kBytes > 2 * kWanted) {
    using Half = std::conditional_t<kBytes == 8, std::uint32_t, std::uint16_t>;
    return convert<To, kLanes>(__builtin_convertvector(from, Vector<Half, kLanes>));
  } else if constexpr (kIntegers && 2 * kBytes < kWanted) {
    using Double = std::conditional_t<kBytes == 1, std::uint16_t, std::uint32_t>;
    return convert<To, kLanes>(__builtin_convertvector(from, Vector<Double, kLanes>));
  } else {
    return __builtin_convertvector(from, Vector<To, kLanes>);
  }
}

template <class V>
constexpr Index kLanesOf = static_cast<Index>(sizeof(V) / sizeof(V{}[0]));

// Lane i is lane kFrom(i) of a and b side by side.
template <auto kFrom, class V, Index... kLane>
inline V shuffle(const V& a, const V& b, std::integer_sequence<Index, kLane...>) {
  return __builtin_shufflevector(a, b, kFrom(kLane)...);
}

// a and b side by side are blocks of kBlock lanes: every other one of them, from block kFirst on, 0 or 1.
template <Index kBlock, Index kFirst, class V>
inline V every_other(const V& a, const V& b) {
  constexpr auto from = [](Index lane) { return (lane / kBlock * 2 + kFirst) * kBlock + lane % kBlock; };
  return shuffle<from>(a, b, std::make_integer_sequence<Index, kLanesOf<V>>());
}

// Its inverse: the first (kHalf = 0) or the second half of a block of a, a block of b, the next of a, …
template <Index kBlock, Index kHalf, class V>
inline V alternating(const V& a, const V& b) {
  constexpr auto from = [](Index lane) {
    const Index at = kHalf * kLanesOf<V> + lane, block = at / kBlock;
    return block % 2 * kLanesOf<V> + block / 2 * kBlock + at % kBlock;
  };
  return shuffle<from>(a, b, std::make_integer_sequence<Index, kLanesOf<V>>());
}

}  // namespace
}  // namespace strata::kernels
