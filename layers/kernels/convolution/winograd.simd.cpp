// Over products with the matrices B, G and A: 1. rows for +p and -p are computed as sum and difference of
// shared halves; 2. vectors of channels; 3. both dimensions of a tile in registers, each size of tile
// unrolled.
#include "strata/layers/kernels/convolution/winograd.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/simd/xsimd.hpp"

namespace strata::kernels {
namespace {

using Vector = xsimd::batch<float>;
constexpr Index kLanes = static_cast<Index>(Vector::size);

// The one-dimensional transforms evaluate polynomials at 0, at pairs of points +p and -p, and at infinity
// (Toom-Cook). The rows of a matrix for +p and -p differ only in the sign of the odd columns. With these
// points rounding errors are about as small as they can be (cf. Barabasz et al., ACM TOMS 2020): relative to
// the result, in the l2 norm, 0.8e-6 for 3x3, where the usual 0, +-1, +-2 give 1.6e-6, and 3e-6 for 5x5.
template <int kernel>
constexpr double kPoints[(kernel + 1) / 2] = {};
template <>
constexpr double kPoints<3>[2] = {5.0 / 8, 3.0 / 2};
template <>
constexpr double kPoints<5>[3] = {1.0 / 2, 1.0, 2.0};

/// What the matrices are made of. P(x) = x prod (x^2 - p^2) over all pairs vanishes at all finite points.
template <int kernel>
struct ToomCook {
  static constexpr int kPairs = (kernel + 1) / 2, kPowers = kernel > 4 ? kernel : 4;
  struct Pair {
    float powers[kPowers] = {};          // p^k
    float others[kPairs] = {};           // of P(x) / x / (x^2 - p^2), by powers of x^2
    float others_but_last[kPairs] = {};  // the same without the last pair
    float last = 0;                      // p^2 - q^2, where q is the last pair's
    float filter[kernel] = {};           // p^k / P'(p)
  };
  Pair pairs[kPairs] = {};
  float all[kPairs + 1] = {};  // of P(x) / x, by powers of x^2
  float last = 0;              // -q^2
  float zero = 0;              // 1 / P'(0)

  constexpr ToomCook() {
    double product[kPairs + 1] = {};
    for (int pair = 0; pair < kPairs; ++pair) {
      multiply_out({pair, pair}, product);
      const double p = kPoints<kernel>[pair];
      double derivative = 0;  // P'(p) = 2 p^2 times the others
      for (int k = kPairs - 1; k >= 0; --k) derivative = derivative * p * p + product[k];
      derivative *= 2 * p * p;
      for (int k = 0; k < kPairs; ++k) pairs[pair].others[k] = static_cast<float>(product[k]);
      double power = 1;
      for (int k = 0; k < kPowers; ++k, power *= p) {
        pairs[pair].powers[k] = static_cast<float>(power);
        if (k < kernel) pairs[pair].filter[k] = static_cast<float>(power / derivative);
      }
      multiply_out({pair, kPairs - 1}, product);
      for (int k = 0; k < kPairs; ++k) pairs[pair].others_but_last[k] = static_cast<float>(product[k]);
      pairs[pair].last = static_cast<float>(p * p - square(kPairs - 1));
    }
    multiply_out({kPairs, kPairs}, product);
    for (int k = 0; k <= kPairs; ++k) all[k] = static_cast<float>(product[k]);
    last = static_cast<float>(-square(kPairs - 1));
    zero = static_cast<float>(1 / product[0]);
  }

  static constexpr double square(int pair) { return kPoints<kernel>[pair] * kPoints<kernel>[pair]; }

  // prod (z - p^2) over all pairs but two, by powers of z.
  static constexpr void multiply_out(const int (&left_out)[2], double (&product)[kPairs + 1]) {
    for (double& value : product) value = 0;
    product[0] = 1;
    for (int pair = 0; pair < kPairs; ++pair) {
      if (pair == left_out[0] || pair == left_out[1]) continue;
      for (int k = kPairs; k >= 0; --k) product[k] = (k > 0 ? product[k - 1] : 0) - square(pair) * product[k];
    }
  }
};

/// sum of factors[k] values[2 k] for k < terms, plus values[2 terms].
template <int terms, std::size_t count>
[[gnu::always_inline]] inline Vector monic(const float (&factors)[count], const Vector* values) {
  Vector sum = values[2 * terms];
#pragma GCC unroll 8
  for (int k = terms - 1; k >= 0; --k) sum = xsimd::fma(Vector(factors[k]), values[2 * k], sum);
  return sum;
}

/// The one-dimensional transforms of a tile of `size` outputs: 4, or 3 or 2 at the edge of an image, which
/// make do with as many points less: 3 without infinity, 2 without the last pair. P, by which the input
/// transform is made, then lacks that pair's factor. The filters' are divided by P' of all points all the
/// same, so that all sizes share them: the input transform makes up for that.
template <int kernel, int size>
struct Transforms {
  static constexpr ToomCook<kernel> k{};
  static constexpr int kPairs = ToomCook<kernel>::kPairs - (size == 2 ? 1 : 0);
  static constexpr int kFrequencies = kernel + 3, kLast = kFrequencies - 1;
  static constexpr int kWindow = size + kernel - 1;

  static constexpr bool uses(int frequency) {
    if (size == 3) return frequency != kLast;
    return size == 4 || frequency <= 2 * kPairs || frequency == kLast;
  }

  // B^T
  [[gnu::always_inline]] static void input(const Vector (&d)[kWindow], Vector (&v)[kFrequencies]) {
    if constexpr (size == 2)
      v[0] = Vector(k.last) * monic<kPairs>(k.pairs[kPairs].others, d);
    else
      v[0] = monic<kPairs>(k.all, d);
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) {
      const auto& pair = k.pairs[i];
      const auto& others = size == 2 ? pair.others_but_last : pair.others;
      Vector even = monic<kPairs - 1>(others, d + 2), odd = monic<kPairs - 1>(others, d + 1);
      if constexpr (size == 2) {
        even = Vector(pair.last) * even;
        odd = Vector(pair.last) * odd;
      }
      const Vector p(pair.powers[1]);
      v[1 + 2 * i] = xsimd::fma(p, odd, even);
      v[2 + 2 * i] = xsimd::fnma(p, odd, even);
    }
    if constexpr (size == 2) v[kLast] = monic<kPairs>(k.pairs[kPairs].others, d + 1);
    if constexpr (size == 4) v[kLast] = monic<kPairs>(k.all, d + 1);
  }

  // A^T
  [[gnu::always_inline]] static void output(const Vector (&m)[kFrequencies], Vector (&y)[size]) {
    y[0] = m[0];
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) {
      const Vector sum[2] = {m[1 + 2 * i] + m[2 + 2 * i], m[1 + 2 * i] - m[2 + 2 * i]};
      const auto& power = k.pairs[i].powers;
      y[0] += sum[0];
#pragma GCC unroll 8
      for (int t = 1; t < size; ++t)
        y[t] = i == 0 ? Vector(power[t]) * sum[t % 2] : xsimd::fma(Vector(power[t]), sum[t % 2], y[t]);
    }
    if constexpr (size != 3) y[size - 1] += m[kLast];
  }

  // A
  [[gnu::always_inline]] static void gradient(const Vector (&y)[size], Vector (&w)[kFrequencies]) {
    w[0] = y[0];
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) {
      const auto& power = k.pairs[i].powers;
      Vector even = y[0], odd = Vector(power[1]) * y[1];
      if constexpr (size > 2) even = xsimd::fma(Vector(power[2]), y[2], even);
      if constexpr (size > 3) odd = xsimd::fma(Vector(power[3]), y[3], odd);
      w[1 + 2 * i] = even + odd;
      w[2 + 2 * i] = even - odd;
    }
    if constexpr (size != 3) w[kLast] = y[size - 1];
  }
};

/// Those of filters.
template <int kernel>
struct FilterTransforms {
  static constexpr ToomCook<kernel> k{};
  static constexpr int kPairs = ToomCook<kernel>::kPairs, kFrequencies = kernel + 3, kLast = kFrequencies - 1;

  // G
  [[gnu::always_inline]] static void filter(const Vector (&g)[kernel], Vector (&u)[kFrequencies]) {
    u[0] = Vector(k.zero) * g[0];
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) {
      const auto& factor = k.pairs[i].filter;
      Vector even = Vector(factor[0]) * g[0], odd = Vector(factor[1]) * g[1];
#pragma GCC unroll 8
      for (int t = 2; t < kernel; ++t) {
        Vector& sum = t % 2 == 0 ? even : odd;
        sum = xsimd::fma(Vector(factor[t]), g[t], sum);
      }
      u[1 + 2 * i] = even + odd;
      u[2 + 2 * i] = even - odd;
    }
    u[kLast] = g[kernel - 1];
  }

  // G^T
  [[gnu::always_inline]] static void filter_gradient(const Vector (&u)[kFrequencies], Vector (&g)[kernel]) {
    g[0] = Vector(k.zero) * u[0];
    for (int t = 1; t < kernel - 1; ++t) g[t] = Vector(0.0f);
    g[kernel - 1] = u[kLast];
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) {
      const Vector even = u[1 + 2 * i] + u[2 + 2 * i], odd = u[1 + 2 * i] - u[2 + 2 * i];
#pragma GCC unroll 8
      for (int t = 0; t < kernel; ++t)
        g[t] = xsimd::fma(Vector(k.pairs[i].filter[t]), t % 2 == 0 ? even : odd, g[t]);
    }
  }
};

constexpr bool every(int) {
  return true;
}

struct AsItIs {
  const Vector& operator()(const Vector& y, Index /*place*/) const { return y; }
};

// Applies a one-dimensional transform to the columns and another to the rows of a rectangle, whose element
// (i, j) is at in + i * in_row + j * in_column. Of what is read and of what is written only the rows and
// columns that these uses name exist. `last` is what is done to results before they are written, each to its
// place behind `out`.
template <int from_rows, int to_rows, auto down, auto reads_row, auto writes_row, int from_columns,
          int to_columns, auto across, auto reads_column, auto writes_column, class Last = AsItIs>
[[gnu::always_inline]] inline void transform_2d(const float* in, Index in_row, Index in_column, float* out,
                                                Index out_row, Index out_column, const Last& last = {}) {
  Vector half[to_rows][from_columns];
#pragma GCC unroll 8
  for (int j = 0; j < from_columns; ++j) {
    if (!reads_column(j)) continue;
    Vector column[from_rows], result[to_rows];
#pragma GCC unroll 8
    for (int i = 0; i < from_rows; ++i)
      if (reads_row(i)) column[i] = Vector::load_aligned(in + i * in_row + j * in_column);
    down(column, result);
#pragma GCC unroll 8
    for (int i = 0; i < to_rows; ++i)
      if (writes_row(i)) half[i][j] = result[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < to_rows; ++i) {
    if (!writes_row(i)) continue;
    Vector result[to_columns];
    across(half[i], result);
#pragma GCC unroll 8
    for (int j = 0; j < to_columns; ++j)
      if (const Index place = i * out_row + j * out_column; writes_column(j))
        last(result[j], place).store_aligned(out + place);
  }
}

// Calls tile(pixel offset, frequency offset, channel) for each tile of (height, width) outputs and `kLanes`
// of its channels, from that one on: those that a row of the frequencies has.
template <int height, int width, class Tile>
inline void for_each_tile(Index tile_rows, Index tile_columns, const Pixels& pixels, Index row_length,
                          const Tile& tile) {
  Index t = 0;
  for (Index p = 0; p < tile_rows; ++p)
    for (Index q = 0; q < tile_columns; ++q, ++t)
      for (Index c = 0; c < row_length; c += kLanes)
        tile(height * p * pixels.row_stride + width * q * pixels.channels + c, t * row_length + c, c);
}

// B^T d B of windows d, or A dy A^T of gradients dy, of tiles of (height, width) outputs.
template <int kernel, int height, int width, int rows, auto down, int columns, auto across>
void to_frequencies(Pixels pixels, Index tile_rows, Index tile_columns, Frequencies out) {
  using R = Transforms<kernel, height>;
  using C = Transforms<kernel, width>;
  for_each_tile<height, width>(
      tile_rows, tile_columns, pixels, out.channels, [=](Index pixel, Index row, Index) {
        transform_2d<rows, R::kFrequencies, down, every, R::uses, columns, C::kFrequencies, across, every,
                     C::uses>(pixels.data + pixel, pixels.row_stride, pixels.channels, out.data + row,
                              C::kFrequencies * out.stride, out.stride);
      });
}

// `last_of(pixel, channel)` is what is done to the outputs of a vector of channels, of a tile that starts at
// this offset.
template <int kernel, int height, int width, class LastOf>
inline void write_output(const Frequencies& products, Index tile_rows, Index tile_columns,
                         const Pixels& output, const LastOf& last_of) {
  using R = Transforms<kernel, height>;
  using C = Transforms<kernel, width>;
  for_each_tile<height, width>(
      tile_rows, tile_columns, output, products.channels, [=](Index pixel, Index row, Index channel) {
        transform_2d<R::kFrequencies, height, R::output, R::uses, every, C::kFrequencies, width, C::output,
                     C::uses, every>(products.data + row, C::kFrequencies * products.stride, products.stride,
                                     output.data + pixel, output.row_stride, output.channels,
                                     last_of(pixel, channel));
      });
}

template <int kernel, int height, int width>
void transform_output(Frequencies products, Index tile_rows, Index tile_columns, Pixels output) {
  write_output<kernel, height, width>(products, tile_rows, tile_columns, output,
                                      [](Index, Index) { return AsItIs(); });
}

template <int kernel, int height, int width>
void finished_output(Frequencies products, Index tile_rows, Index tile_columns, Pixels output,
                     Finish finish) {
  const auto write = [&](const auto& added) {
    write_output<kernel, height, width>(products, tile_rows, tile_columns, output,
                                        [=, least = Vector(finish.least)](Index pixel, Index channel) {
                                          return [=, bias = Vector::load_unaligned(finish.bias + channel)](
                                                     const Vector& y, Index place) {
                                            const Vector sum = added(y + bias, pixel + place);
                                            return xsimd::select(sum <= least, least, sum);
                                          };
                                        });
  };
  if (const float* addend = finish.addend)
    write([addend](const Vector& y, Index place) { return y + Vector::load_aligned(addend + place); });
  else
    write(AsItIs());
}

// Vectors hold kLanes columns; a vector of taps is picked from memory one by one, as filters are few.
template <int kernel, int side>
void transform_filters_for(Filters filters, bool rotate, Index begin, Index end, Frequencies out) {
  using T = FilterTransforms<kernel>;
  constexpr int kTaps = kernel * kernel;
  constexpr auto uses = Transforms<kernel, side>::uses;
  for (Index r = begin; r < end; ++r)
    for (Index c = 0; c < out.channels; c += kLanes) {
      const float* first = filters.data + r * filters.row_stride + c * filters.column_stride;
      const Index columns = filters.columns - c < kLanes ? filters.columns - c : kLanes;
      alignas(64) float taps[kTaps][kLanes] = {};
      for (Index lane = 0; lane < columns; ++lane)
        for (int t = 0; t < kTaps; ++t)
          taps[rotate ? kTaps - 1 - t : t][lane] = first[lane * filters.column_stride + t];
      float* u = out.data + r * out.channels + c;
      transform_2d<kernel, T::kFrequencies, T::filter, every, uses, kernel, T::kFrequencies, T::filter, every,
                   uses>(taps[0], kernel * kLanes, kLanes, u, T::kFrequencies * out.stride, out.stride);
    }
}

template <int kernel>
void transform_filters(Filters filters, Index side, bool rotate, Index begin, Index end, Frequencies out) {
  const auto transform = side == 2 ? transform_filters_for<kernel, 2> : transform_filters_for<kernel, 4>;
  transform(filters, rotate, begin, end, out);
}

template <int kernel>
void transform_filter_gradient(Frequencies partials, Index partial_stride, Index partial_count, Index begin,
                               Index end, Filters filters) {
  using T = FilterTransforms<kernel>;
  constexpr int kTaps = kernel * kernel, kFrequencies = T::kFrequencies * T::kFrequencies;
  for (Index r = begin; r < end; ++r)
    for (Index c = 0; c < partials.channels; c += kLanes) {
      alignas(64) float taps[kTaps][kLanes];
      const float* u = partials.data + r * partials.channels + c;
      alignas(64) float sums[kFrequencies][kLanes];
      for (Index f = 0; f < kFrequencies; ++f) {
        Vector sum = Vector::load_aligned(u + f * partials.stride);
        for (Index p = 1; p < partial_count; ++p)
          sum += Vector::load_aligned(u + f * partials.stride + p * partial_stride);
        sum.store_aligned(sums[f]);
      }
      transform_2d<T::kFrequencies, kernel, T::filter_gradient, every, every, T::kFrequencies, kernel,
                   T::filter_gradient, every, every>(sums[0], T::kFrequencies * kLanes, kLanes, taps[0],
                                                     kernel * kLanes, kLanes);
      float* first = filters.data + r * filters.row_stride + c * filters.column_stride;
      const Index columns = filters.columns - c < kLanes ? filters.columns - c : kLanes;
      for (Index lane = 0; lane < columns; ++lane)
        for (int t = 0; t < kTaps; ++t) first[lane * filters.column_stride + t] = taps[t][lane];
    }
}

template <int kernel, int height, int width, class R = Transforms<kernel, height>,
          class C = Transforms<kernel, width>>
constexpr TileTransforms kTiles{
    to_frequencies<kernel, height, width, R::kWindow, R::input, C::kWindow, C::input>,
    to_frequencies<kernel, height, width, height, R::gradient, width, C::gradient>,
    transform_output<kernel, height, width>, finished_output<kernel, height, width>};
template <int kernel>
constexpr Winograd kTable{kernel,
                          (kernel + 3) * (kernel + 3),
                          {{kTiles<kernel, 2, 2>, kTiles<kernel, 2, 3>, kTiles<kernel, 2, 4>},
                           {kTiles<kernel, 3, 2>, kTiles<kernel, 3, 3>, kTiles<kernel, 3, 4>},
                           {kTiles<kernel, 4, 2>, kTiles<kernel, 4, 3>, kTiles<kernel, 4, 4>}},
                          transform_filters<kernel>,
                          transform_filter_gradient<kernel>};
constexpr WinogradFamily kFamily{kTable<3>, kTable<5>};

}  // namespace

STRATA_KERNEL_TABLE(kFamily);

}  // namespace strata::kernels
