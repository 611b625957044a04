#include "strata/layers/kernels/convolution/depthwise.hpp"

#include <cstring>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/simd/xsimd.hpp"

namespace strata::kernels {
namespace {

using Vector = xsimd::batch<float>;
constexpr Index kLanes = static_cast<Index>(Vector::size);

// The number of rows, or of columns, of taps that is known only at run time.
constexpr Index kAny = 0;

inline Vector masked(const Vector& values, const float* mask, Index p) {
  return mask ? values & Vector::load_unaligned(mask + p) : values;
}

// body.operator()<rows, columns>(): of the usual sizes, whose weights and sums then stay in registers.
template <class Body>
inline void with_size(const DepthwiseTaps& taps, const Body& body) {
  if (taps.rows == 3 && taps.columns == 3) return body.template operator()<3, 3>();
  if (taps.rows == 5 && taps.columns == 5 && kLanes == 16) return body.template operator()<5, 5>();
  body.template operator()<kAny, kAny>();
}

template <Index kRows, Index kColumns>
inline Vector window_sum(const float* x, const DepthwiseTaps& taps, const float* weights, float bias,
                         Index p) {
  const Index rows = kRows == kAny ? taps.rows : kRows, columns = kColumns == kAny ? taps.columns : kColumns;
  Vector sum(bias);
#pragma GCC unroll 5
  for (Index j = 0; j < columns; ++j) {
    const float* const from = x + p + taps.first + j * taps.column;
    Vector part = Vector(weights[j]) * Vector::load_unaligned(from);
#pragma GCC unroll 5
    for (Index i = 1; i < rows; ++i)
      part = xsimd::fma(Vector(weights[i * columns + j]), Vector::load_unaligned(from + i * taps.row), part);
    sum += masked(part, taps.masks[j], p);
  }
  return sum;
}

void correlate(const float* x, const DepthwiseTaps& taps, const float* weights, float bias, float* y,
               Index size) {
  with_size(taps, [&]<Index kRows, Index kColumns>() {
    const DepthwiseTaps t = taps;  // a copy, so that the compiler knows that no store changes it
    Index p = 0;
    for (; p + kLanes <= size; p += kLanes)
      window_sum<kRows, kColumns>(x, t, weights, bias, p).store_unaligned(y + p);
    if (p == size) return;
    float last[kLanes];
    window_sum<kRows, kColumns>(x, t, weights, bias, p).store_unaligned(last);
    std::memcpy(y + p, last, static_cast<std::size_t>(size - p) * sizeof(float));
  });
}

// kCount taps of column j, from row i on, whose sums stay in registers.
template <Index kCount>
void add_products_of(const float* x, const DepthwiseTaps& t, const float* dy, Index size, Index i, Index j,
                     float* sums) {
  const float* const from = x + t.first + i * t.row + j * t.column;
  float* const to = sums + (i * t.columns + j) * kLanes;
  Vector totals[kCount];
#pragma GCC unroll 5
  for (Index r = 0; r < kCount; ++r) totals[r] = Vector::load_aligned(to + r * t.columns * kLanes);
  for (Index p = 0; p < size; p += kLanes) {
    const Vector g = masked(Vector::load_unaligned(dy + p), t.masks[j], p);
#pragma GCC unroll 5
    for (Index r = 0; r < kCount; ++r)
      totals[r] = xsimd::fma(Vector::load_unaligned(from + p + r * t.row), g, totals[r]);
  }
#pragma GCC unroll 5
  for (Index r = 0; r < kCount; ++r) totals[r].store_aligned(to + r * t.columns * kLanes);
}

void add_products_3x3(const float* x, const DepthwiseTaps t, const float* dy, Index size, float* sums) {
  Vector totals[3][3];
#pragma GCC unroll 3
  for (Index i = 0; i < 3; ++i)
#pragma GCC unroll 3
    for (Index j = 0; j < 3; ++j) totals[i][j] = Vector::load_aligned(sums + (3 * i + j) * kLanes);
  for (Index p = 0; p < size; p += kLanes) {
    const Vector dy_p = Vector::load_unaligned(dy + p);
#pragma GCC unroll 3
    for (Index j = 0; j < 3; ++j) {
      const float* const from = x + t.first + p + j * t.column;
      const Vector g = masked(dy_p, t.masks[j], p);
#pragma GCC unroll 3
      for (Index i = 0; i < 3; ++i)
        totals[i][j] = xsimd::fma(Vector::load_unaligned(from + i * t.row), g, totals[i][j]);
    }
  }
#pragma GCC unroll 3
  for (Index i = 0; i < 3; ++i)
#pragma GCC unroll 3
    for (Index j = 0; j < 3; ++j) totals[i][j].store_aligned(sums + (3 * i + j) * kLanes);
}

void add_products(const float* x, const DepthwiseTaps& t, const float* dy, Index size, float* sums) {
  if (t.rows == 3 && t.columns == 3) return add_products_3x3(x, t, dy, size, sums);
  for (Index j = 0; j < t.columns; ++j) {
    Index i = 0;
    for (; i + 5 <= t.rows; i += 5) add_products_of<5>(x, t, dy, size, i, j, sums);
    for (; i + 3 <= t.rows; i += 3) add_products_of<3>(x, t, dy, size, i, j, sums);
    for (; i < t.rows; ++i) add_products_of<1>(x, t, dy, size, i, j, sums);
  }
}

constexpr Depthwise kTable{correlate, add_products};

}  // namespace

STRATA_KERNEL_TABLE(kTable);

}  // namespace strata::kernels
