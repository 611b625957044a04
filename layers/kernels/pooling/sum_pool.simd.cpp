#include "strata/layers/kernels/pooling/sum_pool.hpp"

#include <cstring>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/simd/vectors.hpp"

// Plain loops, mostly, which the compiler turns into vector code for each instruction set: for that, strides
// of 1 and 2 are constants.
namespace strata::kernels {
namespace {

constexpr Index larger(Index a, Index b) {
  return a > b ? a : b;
}
constexpr Index smaller(Index a, Index b) {
  return a < b ? a : b;
}

constexpr Index kAnyStride = 0;

template <class T>
void clear(T* x, Index count) {
  std::memset(x, 0, static_cast<std::size_t>(count) * sizeof(T));
}

// sums[j] = factor * factors[j] * sum of the window's part of padded_row.
template <Index kStride, class T>
void sum_columns(const T* __restrict padded_row, const PoolGeometry& g, T factor, const T* __restrict factors,
                 T* __restrict sums) {
  const Index stride = kStride == kAnyStride ? g.sw : kStride, count = g.out_w;
  if (g.kw == 2) {
    for (Index j = 0; j < count; ++j)
      sums[j] = (padded_row[j * stride] + padded_row[j * stride + 1]) * (factor * factors[j]);
  } else if (g.kw == 3) {
    for (Index j = 0; j < count; ++j)
      sums[j] = (padded_row[j * stride] + padded_row[j * stride + 1] + padded_row[j * stride + 2]) *
                (factor * factors[j]);
  } else {
    for (Index j = 0; j < count; ++j) sums[j] = padded_row[j * stride];
    for (Index column = 1; column < g.kw; ++column)
      for (Index j = 0; j < count; ++j) sums[j] += padded_row[j * stride + column];
    for (Index j = 0; j < count; ++j) sums[j] *= factor * factors[j];
  }
}

// The reverse: padded_row[x] = sum over the windows that cover column x of factor * factors[j] * values[j].
template <Index kStride, class T>
void spread_columns(const T* __restrict values, const PoolGeometry& g, T factor, const T* __restrict factors,
                    T* __restrict padded_row, Index padded_width) {
  const Index stride = kStride == kAnyStride ? g.sw : kStride, count = g.out_w;
  if (kStride == 2 && g.kw == 2) {
    for (Index j = 0; j < count; ++j) {
      const T value = values[j] * (factor * factors[j]);
      padded_row[2 * j] = value;
      padded_row[2 * j + 1] = value;
    }
    clear(padded_row + 2 * count, padded_width - 2 * count);
    return;
  }
  clear(padded_row, padded_width);
  for (Index column = 0; column < g.kw; ++column)
    for (Index j = 0; j < count; ++j) padded_row[j * stride + column] += values[j] * (factor * factors[j]);
}

template <Index kStride, class T>
void sum_planes(const T* x, T* y, Index planes, const WeightedWindows<T>& windows, T* row) {
  const PoolGeometry& g = windows.geometry;
  clear(row, windows.padded_width());
  T* __restrict const inside = row + g.pw;
  for (Index plane = 0; plane < planes; ++plane, x += g.h * g.w)
    for (Index i = 0; i < g.out_h; ++i, y += g.out_w) {
      const Index top = i * g.sh - g.ph, begin = larger(0, top), end = smaller(g.h, top + g.kh);
      std::memcpy(inside, x + begin * g.w, static_cast<std::size_t>(g.w) * sizeof(T));
      for (Index line = begin + 1; line < end; ++line) {
        const T* __restrict const from = x + line * g.w;
        for (Index column = 0; column < g.w; ++column) inside[column] += from[column];
      }
      sum_columns<kStride>(row, g, windows.rows[i], windows.columns, y);
    }
}

template <Index kStride, class T>
void spread_planes(const T* y, T* x, Index planes, const WeightedWindows<T>& windows, T* row) {
  const PoolGeometry& g = windows.geometry;
  const T* __restrict const inside = row + g.pw;
  const bool apart = g.kh <= g.sh;  // no row lies in two windows
  for (Index plane = 0; plane < planes; ++plane, x += g.h * g.w) {
    if (!apart || g.kh < g.sh || g.out_h * g.sh < g.h + g.ph) clear(x, g.h * g.w);
    for (Index i = 0; i < g.out_h; ++i, y += g.out_w) {
      spread_columns<kStride>(y, g, windows.rows[i], windows.columns, row, windows.padded_width());
      const Index top = i * g.sh - g.ph, begin = larger(0, top), end = smaller(g.h, top + g.kh);
      for (Index line = begin; line < end; ++line) {
        T* __restrict const to = x + line * g.w;
        if (apart)
          std::memcpy(to, inside, static_cast<std::size_t>(g.w) * sizeof(T));
        else
          for (Index column = 0; column < g.w; ++column) to[column] += inside[column];
      }
    }
  }
}

template <class T>
void sum(const T* x, T* y, Index planes, const WeightedWindows<T>& windows, T* row) {
  switch (windows.geometry.sw) {
    case 1:
      return sum_planes<1>(x, y, planes, windows, row);
    case 2:
      return sum_planes<2>(x, y, planes, windows, row);
    default:
      return sum_planes<kAnyStride>(x, y, planes, windows, row);
  }
}

template <class T>
void spread(const T* y, T* x, Index planes, const WeightedWindows<T>& windows, T* row) {
  switch (windows.geometry.sw) {
    case 1:
      return spread_planes<1>(y, x, planes, windows, row);
    case 2:
      return spread_planes<2>(y, x, planes, windows, row);
    default:
      return spread_planes<kAnyStride>(y, x, planes, windows, row);
  }
}

constexpr Index kTerms = 4;  // of a mean that are added in T before they go to double

// kWidth vectors to one, whose lane i is the sum of the lanes of vector i.
template <Index kWidth, class V>
inline V totals(V* sums) {
  if constexpr (kWidth == 1) {
    return sums[0];
  } else {
    for (Index i = 0; i < kWidth / 2; ++i)
      sums[i] =
          every_other<1, 0>(sums[2 * i], sums[2 * i + 1]) + every_other<1, 1>(sums[2 * i], sums[2 * i + 1]);
    return totals<kWidth / 2>(sums);
  }
}

// The sum of x - shift over a plane, in lanes and what is left over.
template <class T>
struct PlaneSum {
  static constexpr Index kLanes = kMostLanes<double>;
  using Lanes = Vector<double, kLanes>;

  Lanes lanes;
  double rest = 0;

  [[gnu::always_inline]] PlaneSum(const T* x, Index size) {
    const auto at = [x](Index i) { return convert<double, kLanes>(load<Vector<T, kLanes>>(x + i)); };
    constexpr Index kChains = 16 / kLanes;  // hide the latency of the additions
    Lanes sums[kChains] = {};
    Index i = 0;
    for (; i + 16 <= size; i += 16)
      for (Index chain = 0; chain < kChains; ++chain) sums[chain] += at(i + chain * kLanes);
    lanes = sums[0];
    for (Index chain = 1; chain < kChains; ++chain) lanes += sums[chain];
    for (; i < size; ++i) rest += static_cast<double>(x[i]);
  }
  // Four terms at a time are added in T.
  [[gnu::always_inline]] PlaneSum(const T* x, Index size, T shift) : lanes{} {
    constexpr Index kParts = 16;
    double parts[kParts] = {};
    Index i = 0;
    for (; i + kTerms * kParts <= size; i += kTerms * kParts)
      for (Index part = 0; part < kParts; ++part) {
        T sum = x[i + part] - shift;
        for (Index term = 1; term < kTerms; ++term) sum += x[i + term * kParts + part] - shift;
        parts[part] += static_cast<double>(sum);
      }
    for (Index part = 0; part < kParts; part += kLanes) lanes += load<Lanes>(parts + part);
    for (; i < size; ++i) rest += static_cast<double>(x[i] - shift);
  }
};

// The sums of kCount planes, as many as a vector has lanes or fewer, become one vector.
template <Index kCount, class T>
[[gnu::always_inline]] inline void means(const T* x, T* y, Index size, double factor) {
  constexpr Index kLanes = kMostLanes<double>;
  using Sums = Vector<double, kLanes>;
  Sums sums[kLanes] = {};
  double rest[kLanes] = {}, shifts[kLanes] = {};
  const bool large = sizeof(T) < sizeof(double) && size >= 256;
  for (Index p = 0; p < kCount; ++p, x += size) {
    const T shift = large && *x - *x == 0 ? *x : T{0};  // unless it is infinite
    const PlaneSum<T> sum = large ? PlaneSum<T>(x, size, shift) : PlaneSum<T>(x, size);
    sums[p] = sum.lanes;
    rest[p] = sum.rest;
    shifts[p] = static_cast<double>(shift);
  }
  const auto result =
      convert<T, kLanes>(load<Sums>(shifts) + (totals<kLanes>(sums) + load<Sums>(rest)) * factor);
  for (Index p = 0; p < kCount; ++p) y[p] = result[p];
}

// Each plane's sum is of the same order wherever it is.
template <class T>
void mean(const T* x, T* y, Index planes, Index size) {
  constexpr Index kLanes = kMostLanes<double>;
  const double factor = 1 / static_cast<double>(size);
  Index plane = 0;
  for (; plane + kLanes <= planes; plane += kLanes) means<kLanes>(x + plane * size, y + plane, size, factor);
  for (; plane < planes; ++plane) means<1>(x + plane * size, y + plane, size, factor);
}

template <class T>
constexpr SumPool<T> kTable{sum<T>, spread<T>, mean<T>};

}  // namespace

STRATA_KERNEL_TABLE(kTable<float>);
STRATA_KERNEL_TABLE(kTable<double>);

}  // namespace strata::kernels
