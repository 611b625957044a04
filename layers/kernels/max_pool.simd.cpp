#include "strata/layers/kernels/max_pool.hpp"

#include <cstring>
#include <type_traits>
#include <utility>

#include "strata/framework/instruction_set.hpp"
#include "strata/layers/kernels/index_math.hpp"

namespace strata::kernels {
namespace {

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

// A place beside a value of type T, of the same size.
template <class T>
using Place = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

// Converts places. GCC has instructions for a change of the size by two; for others it would go element by
// element.
template <class To, Index kLanes, class From>
inline Vector<To, kLanes> convert(From places) {
  constexpr Index kBytes = static_cast<Index>(sizeof(From)) / kLanes,
                  kWanted = static_cast<Index>(sizeof(To));
  if constexpr (kBytes > 2 * kWanted) {
    using Half = std::conditional_t<kBytes == 8, std::uint32_t, std::uint16_t>;
    return convert<To, kLanes>(__builtin_convertvector(places, Vector<Half, kLanes>));
  } else if constexpr (2 * kBytes < kWanted) {
    using Double = std::conditional_t<kBytes == 1, std::uint16_t, std::uint32_t>;
    return convert<To, kLanes>(__builtin_convertvector(places, Vector<Double, kLanes>));
  } else {
    return __builtin_convertvector(places, Vector<To, kLanes>);
  }
}

// x[kFirst], x[kFirst + 2], … with kFirst 0 or 1; reads 2 kLanes values from x on and no more.
template <class V, int kFirst, class T, int... kLane>
inline V load_every_other(const T* x, std::integer_sequence<int, kLane...>) {
  constexpr int kLanes = sizeof...(kLane);
  return __builtin_shufflevector(load<V>(x), load<V>(x + kLanes), (2 * kLane + kFirst)...);
}

constexpr Index kAnyStride = 0;

// kLanes results in a row, from (oy, ox) on, whose windows have no padding to the left or right.
template <Index kStride, Index kLanes, class T, class Position>
inline void pool_lanes(const T* x, Index oy, Index ox, const PoolGeometry& g, T* y, Position* positions) {
  using Values = Vector<T, kLanes>;
  using Places = Vector<Place<T>, kLanes>;
  const Index top = oy * g.sh - g.ph;
  const Index row_begin = larger(0, -top), row_end = smaller(g.kh, g.h - top);
  x += top * g.w + ox * g.sw - g.pw;
  const auto tap = [&](Index row, Index column) {
    const T* const from = x + row * g.w + column;
    if constexpr (kStride == 1) {
      return load<Values>(from);
    } else if constexpr (kStride == kAnyStride) {
      T values[kLanes];
      for (Index lane = 0; lane < kLanes; ++lane) values[lane] = from[lane * g.sw];
      return load<Values>(values);
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
  const auto narrow = convert<Position, kLanes>(where);
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
  if constexpr (kLanes > 2) ox = pool_row<kStride, kBytes / 2>(x, oy, ox, end, g, y, positions);
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
      if (g.sw == 1)
        ox = pool_row<1, kVectorBytes>(x, oy, ox, right, g, y, positions);
      else if (g.sw == 2 && g.kw > 1)
        ox = pool_row<2, kVectorBytes>(x, oy, ox, right, g, y, positions);
      else
        ox = pool_row<kAnyStride, kVectorBytes>(x, oy, ox, right, g, y, positions);
      for (; ox < g.out_w; ++ox) pool_one(x, oy, ox, g, y[ox], positions[ox]);
    }
}

// Stores a[0], b[0], a[1], b[1], …
template <class V, class T, int... kLane>
inline void store_alternating(V a, V b, T* x, std::integer_sequence<int, kLane...>) {
  constexpr int kLanes = sizeof...(kLane);
  const V first = __builtin_shufflevector(a, b, (kLane / 2 + kLane % 2 * kLanes)...);
  const V second = __builtin_shufflevector(a, b, ((kLanes + kLane) / 2 + kLane % 2 * kLanes)...);
  std::memcpy(x, &first, sizeof(V));
  std::memcpy(x + kLanes, &second, sizeof(V));
}

// One row of dx, of which each pair of values belongs to one result: it is dy at the place that was the
// maximum, else 0. `place` is the window's place above the even values.
template <Index kLanes, class T, class Position>
inline void spread_lanes(const T* dy, const Position* positions, std::int32_t place, std::int32_t next_place,
                         T* dx) {
  using Values = Vector<T, kLanes>;
  const auto values = load<Values>(dy);
  const auto places = convert<Place<T>, kLanes>(load<Vector<Position, kLanes>>(positions));
  store_alternating(places == place ? values : Values{}, places == next_place ? values : Values{}, dx,
                    std::make_integer_sequence<int, int{kLanes}>());
}
// The pairs from ox to end, in vectors of kLanes, then of half that; as in pool_row the last may do some
// again.
template <Index kLanes, class T, class Position>
inline void spread_row(const T* dy, const Position* positions, Index ox, Index end, std::int32_t place,
                       std::int32_t next_place, T* dx) {
  const auto spread = [&](Index at) {
    spread_lanes<kLanes>(dy + at, positions + at, place, next_place, dx + 2 * at);
  };
  const Index begin = ox;
  for (; ox + kLanes <= end; ox += kLanes) spread(ox);
  if (ox == end) return;
  if (end - begin >= kLanes) return spread(end - kLanes);
  if constexpr (kLanes > 2) return spread_row<kLanes / 2>(dy, positions, ox, end, place, next_place, dx);
  for (; ox < end; ++ox) {
    const auto at = static_cast<std::int32_t>(positions[ox]);
    dx[2 * ox] = at == place ? dy[ox] : T{0};
    dx[2 * ox + 1] = at == next_place ? dy[ox] : T{0};
  }
}

// Windows of up to two columns that are two columns apart and do not overlap: every value of dx is written
// once.
template <class T, class Position>
void backward_of_pairs(const T* dy, const Position* positions, T* dx, const PoolGeometry& g) {
  const Index left = (g.pw + 1) / 2, right = larger(left, smaller(g.out_w, (g.w + g.pw) / 2));
  Index oy = 0, row = g.ph;
  for (Index y = 0; y < g.h; ++y, ++row, dx += g.w) {
    for (; row >= g.sh; row -= g.sh) ++oy;
    if (row >= g.kh || oy >= g.out_h) {
      std::memset(dx, 0, static_cast<std::size_t>(g.w) * sizeof(T));
      continue;
    }
    const T* const from = dy + oy * g.out_w;
    const Position* const places = positions + oy * g.out_w;
    const auto place = static_cast<std::int32_t>(row * g.kw), next_place = g.kw > 1 ? place + 1 : -1;
    const auto one = [&](Index x) {
      const Index ox = (x + g.pw) / 2;
      const auto here = (x + g.pw) % 2 == 0 ? place : next_place;
      dx[x] = ox < g.out_w && static_cast<std::int32_t>(places[ox]) == here ? from[ox] : T{0};
    };
    Index x = 0;
    for (; x < smaller(g.w, 2 * left - g.pw); ++x) one(x);
    if (left < right) {
      constexpr Index kLanes = kVectorBytes / static_cast<Index>(sizeof(T));
      spread_row<kLanes>(from, places, left, right, place, next_place, dx - g.pw);
      x = 2 * right - g.pw;
    }
    for (; x < g.w; ++x) one(x);
  }
}

// What each place of a window adds to the offset of its first value; that of a byte comes from a table, as
// division is slow.
template <class Position>
class Offsets {
 public:
  explicit Offsets(const PoolGeometry& g) : kw_(static_cast<std::uint32_t>(g.kw)), w_(g.w) {
    if constexpr (sizeof(Position) == 1)
      for (Index row = 0; row < g.kh; ++row)
        for (Index column = 0; column < g.kw; ++column) table_[row * g.kw + column] = row * g.w + column;
  }
  Index operator[](Position place) const {
    if constexpr (sizeof(Position) == 1) return table_[place];
    return place / kw_ * w_ + place % kw_;
  }

 private:
  std::uint32_t kw_;
  Index w_;
  Index table_[sizeof(Position) == 1 ? 256 : 1];
};

template <class T, class Position>
void backward(const T* dy, const Position* positions, T* dx, Index planes, const PoolGeometry& g) {
  const Index size = g.h * g.w, out_size = g.out_h * g.out_w;
  if (g.sw == 2 && g.kw <= 2 && g.kh <= g.sh) {
    for (Index plane = 0; plane < planes; ++plane)
      backward_of_pairs(dy + plane * out_size, positions + plane * out_size, dx + plane * size, g);
    return;
  }
  const Offsets<Position> offsets(g);
  for (Index plane = 0; plane < planes; ++plane, dx += size) {
    std::memset(dx, 0, static_cast<std::size_t>(size) * sizeof(T));
    for (Index oy = 0; oy < g.out_h; ++oy, dy += g.out_w, positions += g.out_w) {
      const Index first = (oy * g.sh - g.ph) * g.w - g.pw;
      for (Index ox = 0; ox < g.out_w; ++ox) dx[first + ox * g.sw + offsets[positions[ox]]] += dy[ox];
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
