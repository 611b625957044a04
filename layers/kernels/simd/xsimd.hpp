// xsimd, with one name for what its versions 8 to 13 call differently.
//
// For NAME.simd.cpp files only. Everything is in an anonymous namespace: were it shared between files, the
// linker could hand the code of one instruction set to another.
#pragma once

#include <xsimd/xsimd.hpp>

namespace strata::kernels {
namespace {

/// The sum of all lanes.
template <class T, class A>
inline T sum_of(const xsimd::batch<T, A>& v) {
#if XSIMD_VERSION_MAJOR >= 9
  return xsimd::reduce_add(v);
#else
  return xsimd::hadd(v);
#endif
}

/// The same bits, as lanes of another type.
template <class To, class T, class A>
inline xsimd::batch<To, A> bits_as(const xsimd::batch<T, A>& v) {
#if XSIMD_VERSION_MAJOR >= 10
  return xsimd::bitwise_cast<To>(v);
#else
  return xsimd::bitwise_cast<xsimd::batch<To, A> >(v);
#endif
}

/// The same truth, of lanes of another type.
template <class To, class T, class A>
inline xsimd::batch_bool<To, A> truth_as(const xsimd::batch_bool<T, A>& v) {
#if XSIMD_VERSION_MAJOR >= 9
  return xsimd::batch_bool_cast<To>(v);
#else
  return xsimd::bool_cast(v);
#endif
}

}  // namespace
}  // namespace strata::kernels
