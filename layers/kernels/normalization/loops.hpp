// The loops that the kernels of normalization share.
//
// For NAME.simd.cpp files only. Everything is in an anonymous namespace: were it shared between files, the
// linker could hand the code of one instruction set to another.
#pragma once

#include <type_traits>

#include "strata/layers/kernels/normalization/vector_loops.hpp"
#include "strata/layers/kernels/simd/batches.hpp"

namespace strata::kernels {
namespace {

/// Some runs of `length` consecutive elements, `stride` apart.
struct Runs {
  Index length;
  Index count;
  Index stride;
};

template <class T>
constexpr T kLaneNumbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/// Adds to *sum_a and *sum_b what body(i, a, b) adds to a and b over all elements of the runs. Four vectors
/// side by side hide the latency of the additions.
template <class T, class Body>
inline void sum_pairs(const Runs& runs, double* sum_a, double* sum_b, const Body& body) {
  using Batch = xsimd::batch<T>;
  constexpr Index kLanes = static_cast<Index>(Batch::size);
  Batch a0(T{0}), a1(T{0}), a2(T{0}), a3(T{0}), b0(T{0}), b1(T{0}), b2(T{0}), b3(T{0});
  T a = 0, b = 0;
  for (Index r = 0; r < runs.count; ++r) {
    Index i = r * runs.stride;
    const Index end = i + runs.length;
    for (; i + 4 * kLanes <= end; i += 4 * kLanes) {
      body(i, a0, b0);
      body(i + kLanes, a1, b1);
      body(i + 2 * kLanes, a2, b2);
      body(i + 3 * kLanes, a3, b3);
    }
    for (; i + kLanes <= end; i += kLanes) body(i, a0, b0);
    if (i == end) continue;
    if (runs.length < kLanes) {
      for_the_rest<T, Batch::size / 2>(i, end, [&]<class V>(Index j, V) {
        V part_a(T{0}), part_b(T{0});
        body(j, part_a, part_b);
        a += sum_of(part_a);
        b += sum_of(part_b);
      });
      continue;
    }
    // The last whole vector, of which only the lanes that were not in the one before.
    Batch part_a(T{0}), part_b(T{0});
    body(end - kLanes, part_a, part_b);
    const auto fresh = load(kLaneNumbers<T>, Batch()) >= Batch(static_cast<T>(i - (end - kLanes)));
    a0 += xsimd::select(fresh, part_a, Batch(T{0}));
    b0 += xsimd::select(fresh, part_b, Batch(T{0}));
  }
  *sum_a += static_cast<double>(sum_of((a0 + a1) + (a2 + a3)) + a);
  *sum_b += static_cast<double>(sum_of((b0 + b1) + (b2 + b3)) + b);
}

// x <= 0 rather than !(x > 0) lets NaN through, where it can be found, and its gradient too.
template <class T, class A>
inline xsimd::batch<T, A> rectified(const xsimd::batch<T, A>& y) {
  const xsimd::batch<T, A> zero(T{0});
  return xsimd::select(y <= zero, zero, y);
}
template <class T>
inline T rectified(T y) {
  return y <= T{0} ? T{0} : y;
}
/// 0 where y is that, or negative, else g.
template <class T, class A>
inline xsimd::batch<T, A> rectified_gradient(const xsimd::batch<T, A>& y, const xsimd::batch<T, A>& g) {
  const xsimd::batch<T, A> zero(T{0});
  return xsimd::select(y <= zero, zero, g);
}
template <class T>
inline T rectified_gradient(T y, T g) {
  return y <= T{0} ? T{0} : g;
}

template <bool kRectify, class V>
inline V activate(const V& y) {
  if constexpr (kRectify)
    return rectified(y);
  else
    return y;
}
/// g, from dy and what y is computed from.
template <bool kRectify, class V>
inline V pull_back(const V& g, const V& d, const V& scale, const V& offset) {
  if constexpr (kRectify)
    return rectified_gradient(multiply_add(d, scale, offset), g);
  else
    return g;
}

/// body(std::bool_constant<rectify>).
template <class Body>
inline void with_activation(bool rectify, const Body& body) {
  rectify ? body(std::true_type()) : body(std::false_type());
}

/// The factors of one channel: what kernels::Coefficients holds for all.
template <class T>
struct Factors {
  T center;
  T scale;
  T offset;
  T slope;
  T intercept;
};

// The passes over parts of one channel; sums are added to those that are there.

template <class T>
inline void shifted_sums(const T* x, const Runs& runs, T shift, double* sum, double* squares) {
  sum_pairs<T>(runs, sum, squares, [=]<class V>(Index i, V& a, V& b) {
    const V d = load(x + i, V()) - V(shift);
    a += d;
    b = multiply_add(d, d, b);
  });
}

template <bool kRectify, class T>
inline void normalize_run(const T* x, T* y, Index length, const Factors<T>& k) {
  for_each<T>(length, [=]<class V>(Index i, V) {
    const V d = load(x + i, V()) - V(k.center);
    write(y + i, activate<kRectify>(multiply_add(d, V(k.scale), V(k.offset))));
  });
}

/// Adds g and g d of as many elements as V has.
template <bool kRectify, class V, class T>
inline void add_gradient(const T* dy, const T* x, const Factors<T>& k, V& sum_g, V& sum_g_x) {
  const V d = load(x, V()) - V(k.center);
  const V g = pull_back<kRectify, V>(load(dy, V()), d, V(k.scale), V(k.offset));
  sum_g += g;
  sum_g_x = multiply_add(g, d, sum_g_x);
}

template <bool kRectify, class T>
inline void gradient_sums_of(const T* dy, const T* x, const Runs& runs, const Factors<T>& k, double* sum_g,
                             double* sum_g_x) {
  sum_pairs<T>(runs, sum_g, sum_g_x,
               [=]<class V>(Index i, V& a, V& b) { add_gradient<kRectify>(dy + i, x + i, k, a, b); });
}

/// dx of as many elements as V has.
template <bool kRectify, class V, class T>
inline void write_gradient(const T* dy, const T* x, T* dx, const Factors<T>& k) {
  const V d = load(x, V()) - V(k.center);
  const V g = pull_back<kRectify, V>(load(dy, V()), d, V(k.scale), V(k.offset));
  write(dx, multiply_add(g, V(k.scale), multiply_add(d, V(k.slope), V(k.intercept))));
}

template <bool kRectify, class T>
inline void gradient_run(const T* dy, const T* x, T* dx, Index length, const Factors<T>& k) {
  for_each<T>(length, [=]<class V>(Index i, V) { write_gradient<kRectify, V>(dy + i, x + i, dx + i, k); });
}

}  // namespace
}  // namespace strata::kernels
