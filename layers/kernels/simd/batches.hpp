// Loops that are written once for V = xsimd::batch<T>, for whole vectors, and for what is left of a run,
// shorter vectors and V = T.
//
// For NAME.simd.cpp files only. Everything is in an anonymous namespace: were it shared between files, the
// linker could hand the code of one instruction set to another.
#pragma once

#include <cstddef>
#include <type_traits>

#include "strata/framework/index.hpp"
#include "strata/layers/kernels/simd/xsimd.hpp"

namespace strata::kernels {
namespace {

template <class T, class A>
inline xsimd::batch<T, A> load(const T* p, xsimd::batch<T, A>) {
  return xsimd::batch<T, A>::load_unaligned(p);
}
template <class T>
inline T load(const T* p, T) {
  return *p;
}
template <class T, class A>
inline void write(T* p, const xsimd::batch<T, A>& v) {
  v.store_unaligned(p);
}
template <class T>
inline void write(T* p, T v) {
  *p = v;
}
template <class T, class A>
inline xsimd::batch<T, A> multiply_add(const xsimd::batch<T, A>& a, const xsimd::batch<T, A>& b,
                                       const xsimd::batch<T, A>& c) {
  return xsimd::fma(a, b, c);
}
template <class T>
inline T multiply_add(T a, T b, T c) {
  return a * b + c;
}

template <class T>
inline T sum_of(T v) {
  return v;
}

/// body(i, V) for a vector of kLanes, for shorter ones and for single elements, of [i, length).
template <class T, std::size_t kLanes, class Body>
inline void for_the_rest(Index i, Index length, const Body& body) {
  using Batch = xsimd::make_sized_batch_t<T, kLanes>;
  if constexpr (std::is_void_v<Batch>) {
    for (; i < length; ++i) body(i, T{0});
  } else {
    if (i + static_cast<Index>(kLanes) <= length) {
      body(i, Batch(T{0}));
      i += static_cast<Index>(kLanes);
    }
    for_the_rest<T, kLanes / 2>(i, length, body);
  }
}

/// body(i, V) for the whole vectors, then for the rest, of [0, length).
template <class T, class Body>
inline void for_each(Index length, const Body& body) {
  using Batch = xsimd::batch<T>;
  constexpr Index kLanes = static_cast<Index>(Batch::size);
  Index i = 0;
  for (; i + kLanes <= length; i += kLanes) body(i, Batch(T{0}));
  if (i < length) for_the_rest<T, Batch::size / 2>(i, length, body);
}

}  // namespace
}  // namespace strata::kernels
