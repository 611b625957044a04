// Over three plain loops: 1. vectors of columns; 2. a tile of sums in registers, so that what is loaded
// serves many of them; 3. heights of tiles that differ by one at most; 4. adjacent rows of a unrolled.
#include "strata/layers/kernels/convolution/direct.hpp"

#include <array>
#include <utility>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/simd/xsimd.hpp"

namespace strata::kernels {
namespace {

using Vector = xsimd::batch<float>;
constexpr Index kLanes = static_cast<Index>(Vector::size);

// A tile of c stays in registers: up to 28 sums of the 32 registers of AVX-512, 12 of the 16 of the other
// sets. The more rows, the fewer times b is read.
constexpr int kVectors = 2;
constexpr int kSums = kLanes == 16 ? 28 : 12;
constexpr int max_rows(int vectors) {
  return kLanes == 16 ? kSums / kVectors : kSums / vectors;
}

// The tile whose first row is row `place` of a line. `adjacent`: the rows of a lie side by side, so that
// their addresses take no registers.
template <int rows, int vectors, bool adjacent>
void multiply_tile(const Product& p, Index line, Index place, Index n) {
  const float* a[rows];
  float* c[rows];
  a[0] = p.a + line * p.a_line + place * p.a_row;
  c[0] = p.c + line * p.c_line + place * p.c_row + n;
  const Index a_wrap = p.a_line - (p.line_rows - 1) * p.a_row,
              c_wrap = p.c_line - (p.line_rows - 1) * p.c_row;
#pragma GCC unroll 14
  for (int r = 1; r < rows; ++r) {
    const bool next_line = ++place == p.line_rows;
    place = next_line ? 0 : place;
    a[r] = a[r - 1] + (next_line ? a_wrap : p.a_row);
    c[r] = c[r - 1] + (next_line ? c_wrap : p.c_row);
  }
  Vector sums[rows][vectors];
#pragma GCC unroll 14
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sums[r][v] = Vector(0.0f);
  if (p.accumulate) {
#pragma GCC unroll 14
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] = Vector::load_aligned(c[r] + v * kLanes);
  }

  const Index a_term = p.a_term, b_row = p.b_row;
  for (Index run = 0; run < p.run_count; ++run) {
    Index next = p.runs[run].a;
    const float* b = p.b + p.runs[run].b * b_row + n;
    const auto add_term = [&]() __attribute__((always_inline)) {
      Vector factors[vectors];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) factors[v] = Vector::load_aligned(b + v * kLanes);
#pragma GCC unroll 14
      for (int r = 0; r < rows; ++r) {
        const Vector factor(adjacent ? a[0][next + r] : a[r][next]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) sums[r][v] = xsimd::fma(factor, factors[v], sums[r][v]);
      }
      next += a_term;
      b += b_row;
    };
    // Four at a time, for .93 of the time; it gains nothing where every row has an address of its own.
    if constexpr (adjacent) {
#pragma GCC unroll 4
      for (Index i = 0; i < p.run_length; ++i) add_term();
    } else {
      for (Index i = 0; i < p.run_length; ++i) add_term();
    }
  }

  // The bias comes last: were it large, every sum on the way would be rounded to its size.
  if (p.bias) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      const Vector bias = Vector::load_unaligned(p.bias + n + v * kLanes);
#pragma GCC unroll 14
      for (int r = 0; r < rows; ++r) sums[r][v] += bias;
    }
  }
  // As finished_output() of the Winograd transforms does it: NaN is passed on.
  if (p.rectify) {
    const Vector zero(0.0f);
#pragma GCC unroll 14
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] = xsimd::select(sums[r][v] <= zero, zero, sums[r][v]);
  }
#pragma GCC unroll 14
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sums[r][v].store_aligned(c[r] + v * kLanes);
}

// Tiles of as many rows as there are, at most, but no two heights that differ by more than one.
template <int vectors>
void multiply_columns(const Product& p, Index n) {
  constexpr auto heights = std::make_integer_sequence<int, max_rows(vectors)>();
  static constexpr auto any = []<int... i>(std::integer_sequence<int, i...>) {
    return std::array{multiply_tile<i + 1, vectors, false>...};
  }
  (heights);
  static constexpr auto adjacent = []<int... i>(std::integer_sequence<int, i...>) {
    return std::array{multiply_tile<i + 1, vectors, true>...};
  }
  (heights);
  const auto& tiles = p.a_row == 1 && p.line_rows == p.rows ? adjacent : any;
  Index count = ceil_div(p.rows, Index{max_rows(vectors)});
  const Index rows = p.rows / count;
  Index taller = p.rows - count * rows;  // tiles, by one row
  Index line = 0, place = 0;
  for (; count > 0; --count) {
    const Index height = rows + (taller-- > 0);
    tiles[static_cast<std::size_t>(height - 1)](p, line, place, n);
    for (place += height; place >= p.line_rows; place -= p.line_rows) ++line;  // faster than divisions
  }
}

void multiply(const Product& p) {
  Index n = 0;
  for (; n + kVectors * kLanes <= p.columns; n += kVectors * kLanes) multiply_columns<kVectors>(p, n);
  if (n < p.columns) multiply_columns<1>(p, n);
}

constexpr Direct kTable{multiply};

}  // namespace

STRATA_KERNEL_TABLE(kTable);

}  // namespace strata::kernels
