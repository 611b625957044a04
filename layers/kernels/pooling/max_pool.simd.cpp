// Max pooling of planes. Over the plain loops: 1. vectors of neighboring windows, for strides of one and
// two; 2. the place of the largest is kept as one byte beside it, by the comparison that chose it, so that
// backward does not search.
#include "strata/layers/kernels/pooling/max_pool.hpp"

#include <utility>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/pooling/max_pool_vectors.hpp"

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

// x[kFirst], x[kFirst + 2], … with kFirst 0 or 1; reads twice as many values from x on as it returns and no
// more.
template <class V, Index kFirst, class T>
inline V load_every_other(const T* x) {
  return every_other<1, kFirst>(load<V>(x), load<V>(x + kLanesOf<V>));
}

// Stores a[0], b[0], a[1], b[1], …
template <class V, class T>
inline void store_alternating(const V& a, const V& b, T* x) {
  store(alternating<1, 0>(a, b), x);
  store(alternating<1, 1>(a, b), x + kLanesOf<V>);
}

// Calls body<kLanes>() with the lanes of the longest vector that is not wider than `width`.
template <class T, Index kLanes = kMostLanes<T>, class Body>
inline void with_lanes(Index width, const Body& body) {
  if constexpr (kLanes > 1)
    if (width < kLanes) return with_lanes<T, kLanes / 2>(width, body);
  body.template operator()<kLanes>();
}

// Calls body(i) so that vectors from each i on cover [begin, end), which is empty or has room for one. The
// last may do some results again rather than leave them over.
template <Index kLanes, class Body>
inline void for_vectors(Index begin, Index end, const Body& body) {
  for (Index i = begin; i < end; i += kLanes) body(smaller(i, end - kLanes));
}

// Whether windows of 2x2 cover all of the planes, which are so narrow that a vector holds whole rows of
// results. Then the planes are as good as one high plane, and each vector of results is that of the next four
// vectors of values: a row of upper halves of windows, a row of lower halves, and so on.
template <class T>
inline bool is_tiled(Index planes, const PoolGeometry& g) {
  return g.kh == 2 && g.kw == 2 && g.sh == 2 && g.sw == 2 && g.h == 2 * g.out_h && g.w == 2 * g.out_w &&
         kMostLanes<T> % g.out_w == 0 && planes * g.out_h * g.out_w >= kMostLanes<T>;
}

// The values at (kRow, kColumn) of a vector of windows, of which kWidth are in a row.
template <Index kWidth, Index kRow, Index kColumn, class V, class T>
inline V load_from_tiles(const T* x) {
  return every_other<kWidth, kRow>(load_every_other<V, kColumn>(x),
                                   load_every_other<V, kColumn>(x + 2 * kLanesOf<V>));
}

template <Index kWidth, class T, class Position>
void forward_in_tiles(const T* x, T* y, Position* positions, Index results) {
  constexpr Index kLanes = kMostLanes<T>;
  using Values = Vector<T, kLanes>;
  for_vectors<kLanes>(0, results, [&](Index i) {
    const T* const from = x + 4 * i;
    Maxima<T, kLanes> maxima(load_from_tiles<kWidth, 0, 0, Values>(from), 0);
    maxima.meet(load_from_tiles<kWidth, 0, 1, Values>(from), 1);
    maxima.meet(load_from_tiles<kWidth, 1, 0, Values>(from), 2);
    maxima.meet(load_from_tiles<kWidth, 1, 1, Values>(from), 3);
    maxima.write(y + i, positions + i);
  });
}

template <Index kWidth, class T, class Position>
void backward_in_tiles(const T* dy, const Position* positions, T* dx, Index results) {
  constexpr Index kLanes = kMostLanes<T>;
  for_vectors<kLanes>(0, results, [&](Index i) {
    const Gradients<T, kLanes> gradients(dy + i, positions + i);
    const auto at_0 = gradients.at(0), at_1 = gradients.at(1), at_2 = gradients.at(2), at_3 = gradients.at(3);
    T* const to = dx + 4 * i;
    store_alternating(alternating<kWidth, 0>(at_0, at_2), alternating<kWidth, 0>(at_1, at_3), to);
    store_alternating(alternating<kWidth, 1>(at_0, at_2), alternating<kWidth, 1>(at_1, at_3),
                      to + 2 * kLanes);
  });
}

// A stride or the size of a square window that is known only at run time.
constexpr Index kAny = 0;

// kLanes results in a row, from (oy, ox) on, whose windows have no padding to the left or right.
template <Index kStride, Index kLanes, class T, class Position>
inline void pool_lanes(const T* x, Index oy, Index ox, const PoolGeometry& g, T* y, Position* positions) {
  using Values = Vector<T, kLanes>;
  const Index top = oy * g.sh - g.ph;
  const Index row_begin = larger(0, -top), row_end = smaller(g.kh, g.h - top);
  x += top * g.w + ox * g.sw - g.pw;
  const auto tap = [&](Index row, Index column) {
    const T* const from = x + row * g.w + column;
    if constexpr (kStride == 1) {
      return load<Values>(from);
    } else if constexpr (kStride == kAny) {
      T values[kLanes];
      for (Index lane = 0; lane < kLanes; ++lane) values[lane] = from[lane * g.sw];
      return load<Values>(values);
    } else {
      return column == 0 ? load_every_other<Values, 0>(from) : load_every_other<Values, 1>(from - 1);
    }
  };
  Maxima<T, kLanes> maxima(tap(row_begin, 0), row_begin * g.kw);
  for (Index row = row_begin; row < row_end; ++row)
    for (Index column = row == row_begin; column < g.kw; ++column)
      maxima.meet(tap(row, column), row * g.kw + column);
  maxima.write(y + ox, positions + ox);
}

// [left, right): the columns of results whose windows have no padding at either side. g is a copy so that the
// compiler knows that no store changes it.
template <Index kStride, Index kSize, Index kLanes, class T, class Position>
void forward_in_rows(const T* x, T* y, Position* positions, Index planes, PoolGeometry g, Index left,
                     Index right) {
  if constexpr (kSize != kAny) g.kh = g.kw = kSize;
  for (Index plane = 0; plane < planes; ++plane, x += g.h * g.w)
    for (Index oy = 0; oy < g.out_h; ++oy, y += g.out_w, positions += g.out_w) {
      for (Index ox = 0; ox < left; ++ox) pool_one(x, oy, ox, g, y[ox], positions[ox]);
      for_vectors<kLanes>(left, right,
                          [&](Index ox) { pool_lanes<kStride, kLanes>(x, oy, ox, g, y, positions); });
      for (Index ox = right; ox < g.out_w; ++ox) pool_one(x, oy, ox, g, y[ox], positions[ox]);
    }
}

template <class T, class Position>
void forward(const T* x, T* y, Position* positions, Index planes, const PoolGeometry& g) {
  if (is_tiled<T>(planes, g))
    return with_lanes<T>(g.out_w, [&]<Index kWidth>() {
      forward_in_tiles<kWidth>(x, y, positions, planes * g.out_h * g.out_w);
    });
  const Index left = smaller(g.out_w, (g.pw + g.sw - 1) / g.sw);
  const Index right = larger(left, smaller(g.out_w, (g.w + g.pw - g.kw + g.sw) / g.sw));
  with_lanes<T>(right - left, [&]<Index kLanes>() {
    if (g.sw == 1)
      forward_in_rows<1, kAny, kLanes>(x, y, positions, planes, g, left, right);
    else if (g.sw == 2 && g.kh == 2 && g.kw == 2)
      forward_in_rows<2, 2, kLanes>(x, y, positions, planes, g, left, right);
    else if (g.sw == 2 && g.kh == 3 && g.kw == 3)
      forward_in_rows<2, 3, kLanes>(x, y, positions, planes, g, left, right);
    else if (g.sw == 2 && g.kw > 1)
      forward_in_rows<2, kAny, kLanes>(x, y, positions, planes, g, left, right);
    else
      forward_in_rows<kAny, kAny, kLanes>(x, y, positions, planes, g, left, right);
  });
}

// The rows [row_begin, row_end) of kLanes windows, from ox on.
template <Index kLanes, class T, class Position>
inline void spread_lanes(const T* dy, const Position* positions, Index ox, Index row_begin, Index row_end,
                         const PoolGeometry& g, T* dx) {
  constexpr Index kNowhere = -1;
  const Gradients<T, kLanes> gradients(dy + ox, positions + ox);
  for (Index row = row_begin; row < row_end; ++row)
    store_alternating(gradients.at(row * g.kw), gradients.at(g.kw > 1 ? row * g.kw + 1 : kNowhere),
                      dx + row * g.w + 2 * ox);
}

// Windows of up to two columns that are two columns apart and do not overlap: every value of dx is written
// once.
template <Index kSize, Index kLanes, class T, class Position>
void backward_in_rows(const T* dy, const Position* positions, T* dx, Index planes, PoolGeometry g, Index left,
                      Index right) {
  if constexpr (kSize != kAny) g.kh = g.kw = kSize;
  for (Index plane = 0; plane < planes; ++plane, dx += g.h * g.w) {
    Index y = 0;
    const auto no_window_until = [&](Index end) {
      if (y < end) std::memset(dx + y * g.w, 0, static_cast<std::size_t>((end - y) * g.w) * sizeof(T));
    };
    for (Index oy = 0; oy < g.out_h; ++oy, dy += g.out_w, positions += g.out_w) {
      const Index top = oy * g.sh - g.ph;
      const Index row_begin = larger(0, -top), row_end = smaller(g.kh, g.h - top);
      no_window_until(top);
      const auto one = [&](Index x) {
        const Index ox = (x + g.pw) / 2, column = (x + g.pw) % 2;
        for (Index row = row_begin; row < row_end; ++row) {
          const bool is_maximum =
              ox < g.out_w && column < g.kw && static_cast<Index>(positions[ox]) == row * g.kw + column;
          dx[(top + row) * g.w + x] = is_maximum ? dy[ox] : T{0};
        }
      };
      for (Index x = 0; x < smaller(g.w, 2 * left - g.pw); ++x) one(x);
      for_vectors<kLanes>(left, right, [&](Index ox) {
        spread_lanes<kLanes>(dy, positions, ox, row_begin, row_end, g, dx + top * g.w - g.pw);
      });
      for (Index x = 2 * right - g.pw; x < g.w; ++x) one(x);
      y = top + row_end;
    }
    no_window_until(g.h);
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
  if (is_tiled<T>(planes, g))
    return with_lanes<T>(g.out_w, [&]<Index kWidth>() {
      backward_in_tiles<kWidth>(dy, positions, dx, planes * g.out_h * g.out_w);
    });
  if (g.sw == 2 && g.kw <= 2 && g.kh <= g.sh) {
    const Index left = (g.pw + 1) / 2, right = larger(left, smaller(g.out_w, (g.w + g.pw) / 2));
    return with_lanes<T>(right - left, [&]<Index kLanes>() {
      if (g.kh == 2 && g.kw == 2)
        backward_in_rows<2, kLanes>(dy, positions, dx, planes, g, left, right);
      else
        backward_in_rows<kAny, kLanes>(dy, positions, dx, planes, g, left, right);
    });
  }
  const Index size = g.h * g.w;
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

STRATA_KERNEL_TABLE(kTable<float, std::uint8_t>);
STRATA_KERNEL_TABLE(kTable<float, std::uint32_t>);
STRATA_KERNEL_TABLE(kTable<double, std::uint8_t>);
STRATA_KERNEL_TABLE(kTable<double, std::uint32_t>);

}  // namespace strata::kernels
