#include "strata/layers/kernels/max_pool.hpp"

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
// means. The first of equal values wins; NaN wins over all.
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
      if (value > best || value != value) {
        best = value;
        where = row * g.kw + column;
      }
    }
  y = best;
  position = static_cast<Position>(where);
}

// `count` results in a row whose windows of kSize x kSize lie inside the plane: unrolled and without
// branches, so that it becomes vector code.
template <Index kSize, Index kStride, class T, class Position>
inline void pool_inside(const T* x, Index w, Index count, T* y, Position* positions) {
  for (Index i = 0; i < count; ++i) {
    T best = x[i * kStride];
    std::int32_t where = 0;
    for (Index row = 0; row < kSize; ++row)
      for (Index column = 0; column < kSize; ++column) {
        const T value = x[row * w + i * kStride + column];
        const bool wins = (value > best) | (value != value);
        best = wins ? value : best;
        where = wins ? static_cast<std::int32_t>(row * kSize + column) : where;
      }
    y[i] = best;
    positions[i] = static_cast<Position>(where);
  }
}

template <Index kSize, Index kStride, class T, class Position>
void forward_planes(const T* x, T* y, Position* positions, Index planes, const PoolGeometry& g) {
  // The results whose whole window lies inside; the rest is done one by one.
  const auto inside = [](Index padding, Index extent, Index out, Index& begin, Index& end) {
    begin = smaller(out, (padding + kStride - 1) / kStride);
    end = extent + padding < kSize ? begin
                                   : larger(begin, smaller(out, (extent + padding - kSize) / kStride + 1));
  };
  Index top = 0, bottom = 0, left = 0, right = 0;
  if constexpr (kSize > 0) {
    inside(g.ph, g.h, g.out_h, top, bottom);
    inside(g.pw, g.w, g.out_w, left, right);
  }
  for (Index plane = 0; plane < planes; ++plane, x += g.h * g.w)
    for (Index oy = 0; oy < g.out_h; ++oy, y += g.out_w, positions += g.out_w) {
      const bool row_inside = oy >= top && oy < bottom;
      const Index begin = row_inside ? left : g.out_w, end = row_inside ? right : g.out_w;
      for (Index ox = 0; ox < begin; ++ox) pool_one(x, oy, ox, g, y[ox], positions[ox]);
      if constexpr (kSize > 0)
        if (row_inside)
          pool_inside<kSize, kStride>(x + (oy * kStride - g.ph) * g.w + begin * kStride - g.pw, g.w,
                                      end - begin, y + begin, positions + begin);
      for (Index ox = end; ox < g.out_w; ++ox) pool_one(x, oy, ox, g, y[ox], positions[ox]);
    }
}

template <class T, class Position>
void forward(const T* x, T* y, Position* positions, Index planes, const PoolGeometry& g) {
  const auto is = [&](Index size, Index stride) {
    return g.kh == size && g.kw == size && g.sh == stride && g.sw == stride;
  };
  if (is(2, 2)) return forward_planes<2, 2>(x, y, positions, planes, g);
  if (is(3, 2)) return forward_planes<3, 2>(x, y, positions, planes, g);
  forward_planes<0, 1>(x, y, positions, planes, g);
}

template <class T, class Position>
void backward(const T* dy, const Position* positions, T* dx, Index planes, const PoolGeometry& g) {
  for (Index plane = 0; plane < planes; ++plane, dx += g.h * g.w) {
    for (Index i = 0; i < g.h * g.w; ++i) dx[i] = T{0};
    for (Index oy = 0; oy < g.out_h; ++oy, dy += g.out_w, positions += g.out_w)
      for (Index ox = 0; ox < g.out_w; ++ox) {
        const auto row = static_cast<Index>(positions[ox]) / g.kw,
                   column = static_cast<Index>(positions[ox]) % g.kw;
        dx[(oy * g.sh - g.ph + row) * g.w + ox * g.sw - g.pw + column] += dy[ox];
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
