#include "strata/layers/kernels/winograd.hpp"

#include <xsimd/xsimd.hpp>

#include "strata/framework/instruction_set.hpp"

namespace strata::kernels {
namespace {

using Vector = xsimd::batch<float>;
constexpr Index kLanes = static_cast<Index>(Vector::size);

// The one-dimensional transforms. With p = 5/8, q = 3/2 the rows of a matrix for +p and -p differ in the sign
// of the odd columns only.

// B^T (6x6)
[[gnu::always_inline]] inline void input_1d(const Vector (&d)[6], Vector (&v)[6]) {
  const Vector both(225.0f / 256), sum(-169.0f / 64);  // p^2 q^2, -(p^2 + q^2)
  const Vector even_p = xsimd::fma(Vector(-9.0f / 4), d[2], d[4]);
  const Vector odd_p = xsimd::fma(Vector(-45.0f / 32), d[1], Vector(5.0f / 8) * d[3]);
  const Vector even_q = xsimd::fma(Vector(-25.0f / 64), d[2], d[4]);
  const Vector odd_q = xsimd::fma(Vector(-75.0f / 128), d[1], Vector(3.0f / 2) * d[3]);
  v[0] = xsimd::fma(both, d[0], xsimd::fma(sum, d[2], d[4]));
  v[1] = even_p + odd_p;
  v[2] = even_p - odd_p;
  v[3] = even_q + odd_q;
  v[4] = even_q - odd_q;
  v[5] = xsimd::fma(both, d[1], xsimd::fma(sum, d[3], d[5]));
}

// A^T (4x6)
[[gnu::always_inline]] inline void output_1d(const Vector (&m)[6], Vector (&y)[4]) {
  const Vector even_p = m[1] + m[2], odd_p = m[1] - m[2];
  const Vector even_q = m[3] + m[4], odd_q = m[3] - m[4];
  y[0] = m[0] + even_p + even_q;
  y[1] = xsimd::fma(Vector(5.0f / 8), odd_p, Vector(3.0f / 2) * odd_q);
  y[2] = xsimd::fma(Vector(25.0f / 64), even_p, Vector(9.0f / 4) * even_q);
  y[3] = xsimd::fma(Vector(125.0f / 512), odd_p, xsimd::fma(Vector(27.0f / 8), odd_q, m[5]));
}

// A (6x4)
[[gnu::always_inline]] inline void gradient_1d(const Vector (&y)[4], Vector (&w)[6]) {
  const Vector even_p = xsimd::fma(Vector(25.0f / 64), y[2], y[0]);
  const Vector odd_p = xsimd::fma(Vector(125.0f / 512), y[3], Vector(5.0f / 8) * y[1]);
  const Vector even_q = xsimd::fma(Vector(9.0f / 4), y[2], y[0]);
  const Vector odd_q = xsimd::fma(Vector(27.0f / 8), y[3], Vector(3.0f / 2) * y[1]);
  w[0] = y[0];
  w[1] = even_p + odd_p;
  w[2] = even_p - odd_p;
  w[3] = even_q + odd_q;
  w[4] = even_q - odd_q;
  w[5] = y[3];
}

// The first two rows of G (6x3) that are not trivial: (1, +-x, x^2) over the product of x's distances to the
// other points.
constexpr float kP0 = -2048.0f / 2975, kP1 = -256.0f / 595, kP2 = -32.0f / 119;
constexpr float kQ0 = 128.0f / 1071, kQ1 = 64.0f / 357, kQ2 = 32.0f / 119;
constexpr float kZero = 256.0f / 225;

// G
[[gnu::always_inline]] inline void filter_1d(const Vector (&g)[3], Vector (&u)[6]) {
  const Vector even_p = xsimd::fma(Vector(kP2), g[2], Vector(kP0) * g[0]), odd_p = Vector(kP1) * g[1];
  const Vector even_q = xsimd::fma(Vector(kQ2), g[2], Vector(kQ0) * g[0]), odd_q = Vector(kQ1) * g[1];
  u[0] = Vector(kZero) * g[0];
  u[1] = even_p + odd_p;
  u[2] = even_p - odd_p;
  u[3] = even_q + odd_q;
  u[4] = even_q - odd_q;
  u[5] = g[2];
}

// G^T
[[gnu::always_inline]] inline void filter_gradient_1d(const Vector (&u)[6], Vector (&g)[3]) {
  const Vector even_p = u[1] + u[2], even_q = u[3] + u[4];
  g[0] = xsimd::fma(Vector(kZero), u[0], xsimd::fma(Vector(kP0), even_p, Vector(kQ0) * even_q));
  g[1] = xsimd::fma(Vector(kP1), u[1] - u[2], Vector(kQ1) * (u[3] - u[4]));
  g[2] = xsimd::fma(Vector(kP2), even_p, xsimd::fma(Vector(kQ2), even_q, u[5]));
}

// Applies a one-dimensional transform to the columns and then to the rows of a square, whose element (i, j)
// is at in + i * in_row + j * in_column.
template <int from, int to, auto transform>
[[gnu::always_inline]] inline void transform_2d(const float* in, Index in_row, Index in_column, float* out,
                                                Index out_row, Index out_column) {
  Vector half[to][from];
#pragma GCC unroll 6
  for (int j = 0; j < from; ++j) {
    Vector column[from], result[to];
#pragma GCC unroll 6
    for (int i = 0; i < from; ++i) column[i] = Vector::load_aligned(in + i * in_row + j * in_column);
    transform(column, result);
#pragma GCC unroll 6
    for (int i = 0; i < to; ++i) half[i][j] = result[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < to; ++i) {
    Vector result[to];
    transform(half[i], result);
#pragma GCC unroll 6
    for (int j = 0; j < to; ++j) result[j].store_aligned(out + i * out_row + j * out_column);
  }
}

// Calls tile(pixel offset, frequency offset) for each tile and `kLanes` of its channels.
template <class Tile>
inline void for_each_tile(Index tile_rows, Index tile_columns, const Pixels& pixels, Index row_length,
                          const Tile& tile) {
  Index t = 0;
  for (Index p = 0; p < tile_rows; ++p)
    for (Index q = 0; q < tile_columns; ++q, ++t)
      for (Index c = 0; c < pixels.channels; c += kLanes)
        tile(4 * (p * pixels.row_stride + q * pixels.channels) + c, t * row_length + c);
}

void transform_input(Pixels input, Index tile_rows, Index tile_columns, Frequencies out) {
  for_each_tile(tile_rows, tile_columns, input, out.channels, [=](Index pixel, Index row) {
    transform_2d<6, 6, input_1d>(input.data + pixel, input.row_stride, input.channels, out.data + row,
                                 6 * out.stride, out.stride);
  });
}

void transform_gradient(Pixels gradient, Index tile_rows, Index tile_columns, Frequencies out) {
  for_each_tile(tile_rows, tile_columns, gradient, out.channels, [=](Index pixel, Index row) {
    transform_2d<4, 6, gradient_1d>(gradient.data + pixel, gradient.row_stride, gradient.channels,
                                    out.data + row, 6 * out.stride, out.stride);
  });
}

void transform_output(Frequencies products, Index tile_rows, Index tile_columns, Pixels output) {
  for_each_tile(tile_rows, tile_columns, output, products.channels, [=](Index pixel, Index row) {
    transform_2d<6, 4, output_1d>(products.data + row, 6 * products.stride, products.stride,
                                  output.data + pixel, output.row_stride, output.channels);
  });
}

// Vectors hold kLanes columns; a vector of taps is picked from memory one by one, as filters are few.
void transform_filters(Filters filters, bool rotate, Index begin, Index end, Frequencies out) {
  for (Index r = begin; r < end; ++r)
    for (Index c = 0; c < out.channels; c += kLanes) {
      const float* first = filters.data + r * filters.row_stride + c * filters.column_stride;
      const Index columns = filters.columns - c < kLanes ? filters.columns - c : kLanes;
      alignas(64) float taps[9][kLanes] = {};
      for (Index lane = 0; lane < columns; ++lane)
        for (int t = 0; t < 9; ++t) taps[rotate ? 8 - t : t][lane] = first[lane * filters.column_stride + t];
      float* u = out.data + r * out.channels + c;
      transform_2d<3, 6, filter_1d>(taps[0], 3 * kLanes, kLanes, u, 6 * out.stride, out.stride);
    }
}

void transform_filter_gradient(Frequencies partials, Index partial_stride, Index partial_count, Index begin,
                               Index end, Filters filters) {
  for (Index r = begin; r < end; ++r)
    for (Index c = 0; c < partials.channels; c += kLanes) {
      alignas(64) float taps[9][kLanes];
      const float* u = partials.data + r * partials.channels + c;
      alignas(64) float sums[36][kLanes];
      for (Index f = 0; f < 36; ++f) {
        Vector sum = Vector::load_aligned(u + f * partials.stride);
        for (Index p = 1; p < partial_count; ++p)
          sum += Vector::load_aligned(u + f * partials.stride + p * partial_stride);
        sum.store_aligned(sums[f]);
      }
      transform_2d<6, 3, filter_gradient_1d>(sums[0], 6 * kLanes, kLanes, taps[0], 3 * kLanes, kLanes);
      float* first = filters.data + r * filters.row_stride + c * filters.column_stride;
      const Index columns = filters.columns - c < kLanes ? filters.columns - c : kLanes;
      for (Index lane = 0; lane < columns; ++lane)
        for (int t = 0; t < 9; ++t) first[lane * filters.column_stride + t] = taps[t][lane];
    }
}

constexpr Winograd kTable{transform_input, transform_gradient, transform_output, transform_filters,
                          transform_filter_gradient};

}  // namespace

template <>
const Winograd& compiled_for<Winograd, InstructionSet::STRATA_ISA>() {
  return kTable;
}

}  // namespace strata::kernels
