// xtensor, wherever its version keeps its headers, mended where the version needs it.
#pragma once

#pragma GCC visibility push(default)  // else a class of ours would show more than its members
#if __has_include(<xtensor/xarray.hpp>)
#include <xtensor/xarray.hpp>
#include <xtensor/xshape.hpp>
#else  // since 0.26
#include <xtensor/containers/xarray.hpp>
#include <xtensor/core/xshape.hpp>
#endif
#pragma GCC visibility pop

// Up to 0.24 (Debian 12), xtensor's own specialization for shapes of any number of axes is there in C++17
// alone. With GCC and a later standard it takes such a shape for one of a fixed number, and a reduction over
// some axes, xt::pad and xt::tile run into memory that is not theirs (xtensor's issues 1970 and 2785).
#if defined(__GNUC__) && !defined(__clang__) && XTENSOR_VERSION_MAJOR == 0 && XTENSOR_VERSION_MINOR < 25
namespace xt::detail {
template <template <class, std::size_t, class, bool> class Vector, class X, std::size_t N, class A, bool Init>
struct xtype_for_shape<Vector<X, N, A, Init>> {
  template <class T, layout_type L>
  using type = xarray<T, L>;
};
}  // namespace xt::detail
#endif
