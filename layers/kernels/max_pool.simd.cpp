#include "strata/layers/kernels/max_pool.hpp"

#include <cstring>
#include <type_traits>
#include <utility>

#include "strata/framework/instruction_set.hpp"

namespace strata::kernels {
namespace {

constexpr Index larger(Index a, Index b) {
  return a > b ? a : b;
}
constexpr Index smaller(Index a, Index b) {
  return a < b ? a : b;
}

// One result. Only the part of the window inside the plane is looked at, which is what padding with -infinity
// means. The first of equal values wins, or the first NaN.
template <class T, class Position>
inline void pool_one(const T* x, Index oy, Index ox, const PoolGeometry& g, T& y, Position& position) {
  const Index top = oy * g.sh - g.ph, left = ox * g.sw - g.pw;
  const Index row_end = smaller(g.kh, g.h - top), column_begin = larger(0, -left);
  const Index column_end = smaller(g.kw, g.w - left);
  Index where = larger(0, -top) * g.kw + column_begin;
  T best = x[larger(0, top) * g.w + left + column_begin];
  for (Index row = larger(0, -top); row < row_end; ++row)
    for (Index column = column_begin; column < column_end; ++column) {
      const T value = x[(top + row) * g.w + left + column];
      const bool wins = !(value <= best) & (best == best);  // no branch: none could be predicted
      best = wins ? value : best;
      where = wins ? row * g.kw + column : where;
    }
  y = best;
  position = static_cast<Position>(where);
}

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

// x[kFirst], x[kFirst + 2], … with kFirst 0 or 1; reads 2 kLanes values from x on and no more.
template <class V, int kFirst, class T, int... kLane>
inline V load_every_other(const T* x, std::integer_sequence<int, kLane...>) {
  constexpr int kLanes = sizeof...(kLane);
  return __builtin_shufflevector(load<V>(x), load<V>(x + kLanes), (2 * kLane + kFirst)...);
}

// kLanes results in a row, from (oy, ox) on, whose windows have no padding to the left or right.
template <Index kStride, Index kLanes, class T, class Position>
inline void pool_lanes(const T* x, Index oy, Index ox, const PoolGeometry& g, T* y, Position* positions) {
  using Values = Vector<T, kLanes>;
  using Places = Vector<std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>, kLanes>;
  const Index top = oy * g.sh - g.ph;
  const Index row_begin = larger(0, -top), row_end = smaller(g.kh, g.h - top);
  x += top * g.w + ox * kStride - g.pw;
  const auto tap = [&](Index row, Index column) {
    const T* const from = x + row * g.w + column;
    if constexpr (kStride == 1) {
      return load<Values>(from);
    } else {
      constexpr std::make_integer_sequence<int, int{kLanes}> lanes;
      return column == 0 ? load_every_other<Values, 0>(from, lanes)
                         : load_every_other<Values, 1>(from - 1, lanes);
    }
  };
  Values best = tap(row_begin, 0);
  Places where = Places{} + static_cast<std::int32_t>(row_begin * g.kw);
  for (Index row = row_begin; row < row_end; ++row)
    for (Index column = row == row_begin; column < g.kw; ++column) {
      const Values value = tap(row, column);
      const Places wins = ~(value <= best) & (best == best);
      best = wins ? value : best;
      where = wins ? Places{} + static_cast<std::int32_t>(row * g.kw + column) : where;
    }
  std::memcpy(y + ox, &best, sizeof(best));
  const auto narrow = __builtin_convertvector(where, Vector<Position, kLanes>);
  std::memcpy(positions + ox, &narrow, sizeof(narrow));
}

// The results from ox to end, as vectors of kBytes, then of half that; returns where it had to stop. The last
// vector may do some results again rather than leave them over.
template <Index kStride, Index kBytes, class T, class Position>
inline Index pool_row(const T* x, Index oy, Index ox, Index end, const PoolGeometry& g, T* y,
                      Position* positions) {
  constexpr Index kLanes = kBytes / static_cast<Index>(sizeof(T));
  const Index begin = ox;
  for (; ox + kLanes <= end; ox += kLanes) pool_lanes<kStride, kLanes>(x, oy, ox, g, y, positions);
  if (ox == end) return end;
  if constexpr (kBytes > 16) ox = pool_row<kStride, kBytes / 2>(x, oy, ox, end, g, y, positions);
  if (ox < end && end - begin >= kLanes) {
    pool_lanes<kStride, kLanes>(x, oy, end - kLanes, g, y, positions);
    ox = end;
  }
  return ox;
}

#if defined(__AVX512F__)
constexpr Index kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr Index kVectorBytes = 32;
#else
constexpr Index kVectorBytes = 16;
#endif

template <class T, class Position>
void forward(const T* x, T* y, Position* positions, Index planes, const PoolGeometry& g) {
  // [left, right): the columns of results whose windows have no padding at either side.
  const Index left = smaller(g.out_w, (g.pw + g.sw - 1) / g.sw);
  const Index right = larger(left, smaller(g.out_w, (g.w + g.pw - g.kw + g.sw) / g.sw));
  for (Index plane = 0; plane < planes; ++plane, x += g.h * g.w)
    for (Index oy = 0; oy < g.out_h; ++oy, y += g.out_w, positions += g.out_w) {
      Index ox = 0;
      for (; ox < left; ++ox) pool_one(x, oy, ox, g, y[ox], positions[ox]);
      if (g.sw == 1) ox = pool_row<1, kVectorBytes>(x, oy, ox, right, g, y, positions);
      if (g.sw == 2 && g.kw > 1) ox = pool_row<2, kVectorBytes>(x, oy, ox, right, g, y, positions);
      for (; ox < g.out_w; ++ox) pool_one(x, oy, ox, g, y[ox], positions[ox]);
    }
}

template <class T, class Position>
void backward(const T* dy, const Position* positions, T* dx, Index planes, const PoolGeometry& g) {
  for (Index plane = 0; plane < planes; ++plane, dx += g.h * g.w) {
    for (Index i = 0; i < g.h * g.w; ++i) dx[i] = T{0};
    for (Index oy = 0; oy < g.out_h; ++oy, dy += g.out_w, positions += g.out_w)
      for (Index ox = 0; ox < g.out_w; ++ox) {
        const std::uint32_t place = positions[ox], row = place / static_cast<std::uint32_t>(g.kw);
        dx[(oy * g.sh - g.ph + row) * g.w + ox * g.sw - g.pw + (place - row * g.kw)] += dy[ox];
      }
  }
}

template <class T, class Position>
constexpr MaxPool<T, Position> kTable{forward<T, Position>, backward<T, Position>};

}  // namespace

template <>
const MaxPool<float, std::uint8_t>& compiled_for<MaxPool<float, std::uint8_t>, InstructionSet::STRATA_ISA>() {
  return kTable<float, std::uint8_t>;
}
template <>
const MaxPool<float, std::uint32_t>&
compiled_for<MaxPool<float, std::uint32_t>, InstructionSet::STRATA_ISA>() {
  return kTable<float, std::uint32_t>;
}
template <>
const MaxPool<double, std::uint8_t>&
compiled_for<MaxPool<double, std::uint8_t>, InstructionSet::STRATA_ISA>() {
  return kTable<double, std::uint8_t>;
}
template <>
const MaxPool<double, std::uint32_t>&
compiled_for<MaxPool<double, std::uint32_t>, InstructionSet::STRATA_ISA>() {
  return kTable<double, std::uint32_t>;
}

}  // namespace strata::kernels
