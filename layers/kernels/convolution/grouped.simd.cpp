// Over plain loops: 1. vectors of columns; 2. chains of taps that share a load; 3. blocks of rows in
// registers.
#include "strata/layers/kernels/convolution/grouped.hpp"

#include <cstring>
#include <utility>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/simd/xsimd.hpp"

namespace strata::kernels {
namespace {

using Vector = xsimd::batch<float>;
constexpr Index kLanes = static_cast<Index>(Vector::size);

template <Index kCount>
struct FloatsOf {
  typedef float type __attribute__((vector_size(kCount * sizeof(float))));
};
template <Index kCount>
using Floats = typename FloatsOf<kCount>::type;

template <Index kCount>
inline Floats<kCount> load(const float* from) {
  Floats<kCount> values;
  std::memcpy(&values, from, sizeof(values));
  return values;
}
template <Index kCount>
inline void store(const Floats<kCount>& values, float* to) {
  std::memcpy(to, &values, sizeof(values));
}

// Runs body for [0, count) in steps of kWidth, or of half that, …, or of 1. The last step may overlap the one
// before it.
template <Index kWidth, class Body>
[[gnu::always_inline]] inline void in_steps(Index count, const Body& body) {
  if (count >= kWidth) {
    Index i = 0;
    for (; i + kWidth <= count; i += kWidth) body.template operator()<kWidth>(i);
    if (i < count) body.template operator()<kWidth>(count - kWidth);
  } else if constexpr (kWidth > 1) {
    in_steps<(kWidth > 4 ? kWidth / 2 : 1)>(count, body);
  }
}

inline void copy(const float* from, Index count, float* to) {
  in_steps<kLanes>(count,
                   [&]<Index kWidth>(Index i) { std::memcpy(to + i, from + i, kWidth * sizeof(float)); });
}

// even[i] = from[2 i], odd[i] = from[2 i + 1].
template <int... kLane>
inline void separate(const float* from, float* even, float* odd, std::integer_sequence<int, kLane...>) {
  constexpr Index kWidth = sizeof...(kLane);
  const auto first = load<kWidth>(from), second = load<kWidth>(from + kWidth);
  store<kWidth>(__builtin_shufflevector(first, second, (2 * kLane)...), even);
  store<kWidth>(__builtin_shufflevector(first, second, (2 * kLane + 1)...), odd);
}
inline void separate(const float* from, Index count, float* even, float* odd) {
  in_steps<kLanes>(count, [&]<Index kWidth>(Index i) {
    if constexpr (kWidth == 1) {
      even[i] = from[2 * i];
      odd[i] = from[2 * i + 1];
    } else {
      separate(from + 2 * i, even + i, odd + i, std::make_integer_sequence<int, int{kWidth}>());
    }
  });
}

// The reverse.
template <int... kLane>
inline void join(const float* even, const float* odd, float* to, std::integer_sequence<int, kLane...>) {
  constexpr int kWidth = sizeof...(kLane);
  const auto first = load<kWidth>(even), second = load<kWidth>(odd);
  store<kWidth>(__builtin_shufflevector(first, second, (kLane / 2 + kLane % 2 * kWidth)...), to);
  store<kWidth>(__builtin_shufflevector(first, second, ((kWidth + kLane) / 2 + kLane % 2 * kWidth)...),
                to + kWidth);
}
inline void join(const float* even, const float* odd, Index count, float* to) {
  in_steps<kLanes>(count, [&]<Index kWidth>(Index i) {
    if constexpr (kWidth == 1) {
      to[2 * i] = even[i];
      to[2 * i + 1] = odd[i];
    } else {
      join(even + i, odd + i, to + 2 * i, std::make_integer_sequence<int, int{kWidth}>());
    }
  });
}

// Calls row(y, place of the row in the sheets) for the plane's rows that exist in them.
template <class Row>
[[gnu::always_inline]] inline void for_each_row(Size2D size, const SheetLayout& l, const Row& row) {
  const Index begin = larger(0, -l.origin.h), end = smaller(size.h, l.rows * l.stride.h - l.origin.h);
  if (begin >= end) return;
  const Index next_phase = l.stride.w * l.sheet_size;
  Index u = (begin + l.origin.h) / l.stride.h, phase = begin + l.origin.h - u * l.stride.h;
  for (Index y = begin; y < end; ++y) {
    row(y, phase * next_phase + u * l.pitch);
    if (++phase == l.stride.h) {
      phase = 0;
      ++u;
    }
  }
}

// The columns of a plane that exist in the sheets, and how many of them come before and after the pairs
// (even, odd) of stride 2.
struct Columns {
  Columns(Size2D size, const SheetLayout& l)
      : begin(larger(0, -l.origin.w)),
        end(larger(begin, smaller(size.w, l.columns * l.stride.w - l.origin.w))),
        first_pair(smaller(end, begin + ((begin + l.origin.w) & 1))),
        pairs((end - first_pair) / 2) {}
  Index begin;
  Index end;
  Index first_pair;
  Index pairs;
};

// Calls visit(x, place in the sheets' row) for the columns [begin, end).
template <class Visit>
[[gnu::always_inline]] inline void for_each_column(Index begin, Index end, const SheetLayout& l,
                                                   const Visit& visit) {
  if (begin == end) return;
  Index v = (begin + l.origin.w) / l.stride.w, phase = begin + l.origin.w - v * l.stride.w;
  for (Index x = begin; x < end; ++x) {
    visit(x, phase * l.sheet_size + v);
    if (++phase == l.stride.w) {
      phase = 0;
      ++v;
    }
  }
}

void to_sheets(const float* plane, Size2D size, const SheetLayout& l, float* sheets) {
  const Columns columns(size, l);
  if (l.stride.w == 1) {
    for_each_row(size, l, [&](Index y, Index row) {
      copy(plane + y * size.w + columns.begin, columns.end - columns.begin,
           sheets + row + columns.begin + l.origin.w);
    });
    return;
  }
  for_each_row(size, l, [&](Index y, Index row) {
    const float* from = plane + y * size.w;
    float* to = sheets + row;
    const auto one = [&](Index x, Index place) { to[place] = from[x]; };
    Index x = columns.begin;
    if (l.stride.w == 2) {
      for_each_column(x, columns.first_pair, l, one);
      float* even = to + (columns.first_pair + l.origin.w) / 2;
      separate(from + columns.first_pair, columns.pairs, even, even + l.sheet_size);
      x = columns.first_pair + 2 * columns.pairs;
    }
    for_each_column(x, columns.end, l, one);
  });
}

void from_sheets(const SheetLayout& l, const float* sheets, float* plane, Size2D size) {
  const Columns columns(size, l);
  if (l.stride.w == 1) {
    for_each_row(size, l, [&](Index y, Index row) {
      copy(sheets + row + columns.begin + l.origin.w, columns.end - columns.begin,
           plane + y * size.w + columns.begin);
    });
    return;
  }
  for_each_row(size, l, [&](Index y, Index row) {
    const float* from = sheets + row;
    float* to = plane + y * size.w;
    const auto one = [&](Index x, Index place) { to[x] = from[place]; };
    Index x = columns.begin;
    if (l.stride.w == 2) {
      for_each_column(x, columns.first_pair, l, one);
      const float* even = from + (columns.first_pair + l.origin.w) / 2;
      join(even, even + l.sheet_size, columns.pairs, to + columns.first_pair);
      x = columns.first_pair + 2 * columns.pairs;
    }
    for_each_column(x, columns.end, l, one);
  });
}

// Runs body.operator()<length>() for a chain's length.
template <int kLength = 1, class Body>
[[gnu::always_inline]] inline void with_length(Index length, const Body& body) {
  if constexpr (kLength < Chain::kLongest)
    if (length != kLength) return with_length<kLength + 1>(length, body);
  body.template operator()<kLength>();
}

// Runs body.operator()<length>(what its first tap sees, number of that tap) for the chains of all inputs.
template <class Body>
[[gnu::always_inline]] inline void for_each_chain(const SheetCorrelation& s, const float* in,
                                                  const Body& body) {
  Index tap = 0;
  for (Index n = 0; n < s.inputs; ++n, in += s.input_size)
    for (const Chain* chain = s.chains; chain != s.chains + s.chain_count; ++chain) {
      with_length(
          chain->length, [&]<int kLength>() __attribute__((always_inline)) {
            body.template operator()<kLength>(in + chain->offset, tap);
          });
      tap += chain->length;
    }
}

// Calls pair(row of outputs, tap, vector of inputs that the tap sees there): each is loaded once.
template <int kRows, int kLength, class Pair>
[[gnu::always_inline]] inline void for_each_pair(const float* rows, Index pitch, const Pair& pair) {
#pragma GCC unroll 16
  for (int row = 0; row < kRows + kLength - 1; ++row) {
    const Vector values = Vector::load_unaligned(rows + row * pitch);
#pragma GCC unroll 8
    for (int t = 0; t < kLength; ++t)
      if (row - t >= 0 && row - t < kRows) pair(row - t, t, values);
  }
}

// Runs body.operator()<block>(first row) for blocks of up to kRowBlock rows. The last may hold rows that do
// not exist.
template <class Body>
[[gnu::always_inline]] inline void for_each_row_block(Index rows, const Body& body) {
  static_assert(SheetCorrelation::kRowBlock == 8);
  Index r = 0;
  for (; rows - r > 4; r += 8) body.template operator()<8>(r);
  if (rows - r > 2) return body.template operator()<4>(r);
  if (rows - r > 0) return body.template operator()<2>(r);
}

// A block of kRows x kLanes outputs stays in registers.
template <int kRows>
void correlate_block(const SheetCorrelation& s, const float* in, const float* weights, float bias,
                     float* out) {
  Vector sums[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) sums[r] = Vector(bias);
  for_each_chain(
      s, in, [&, pitch = s.pitch ]<int kLength>(const float* rows, Index tap) __attribute__((always_inline)) {
        Vector factors[kLength];
#pragma GCC unroll 8
        for (int t = 0; t < kLength; ++t) factors[t] = Vector(weights[tap + t]);
        for_each_pair<kRows, kLength>(
            rows, pitch, [&](int r, int t, const Vector& values) __attribute__((always_inline)) {
              sums[r] = xsimd::fma(factors[t], values, sums[r]);
            });
      });
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) sums[r].store_aligned(out + r * s.columns);
}

void correlate(const SheetCorrelation& s, const float* weights, float bias) {
  for (Index q = 0; q < s.columns; q += kLanes)
    for_each_row_block(s.rows, [&]<int kRows>(Index r) {
      correlate_block<kRows>(s, s.in + r * s.pitch + q, weights, bias, s.out + r * s.columns + q);
    });
}

template <int kRows>
void add_products_of_block(const SheetCorrelation& s, const float* in, const float* out, float* sums) {
  Vector outputs[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) outputs[r] = Vector::load_aligned(out + r * s.columns);
  for_each_chain(
      s, in, [&, pitch = s.pitch ]<int kLength>(const float* rows, Index tap) __attribute__((always_inline)) {
        float* const of_chain = sums + tap * kLanes;
        Vector totals[kLength];
#pragma GCC unroll 8
        for (int t = 0; t < kLength; ++t) totals[t] = Vector::load_aligned(of_chain + t * kLanes);
        for_each_pair<kRows, kLength>(
            rows, pitch, [&](int r, int t, const Vector& values) __attribute__((always_inline)) {
              totals[t] = xsimd::fma(outputs[r], values, totals[t]);
            });
#pragma GCC unroll 8
        for (int t = 0; t < kLength; ++t) totals[t].store_aligned(of_chain + t * kLanes);
      });
}

void add_products(const SheetCorrelation& s, float* sums) {
  for (Index q = 0; q < s.columns; q += kLanes)
    for_each_row_block(s.rows, [&]<int kRows>(Index r) {
      add_products_of_block<kRows>(s, s.in + r * s.pitch + q, s.out + r * s.columns + q, sums);
    });
}

constexpr Grouped kTable{kLanes, to_sheets, from_sheets, correlate, add_products};

}  // namespace

STRATA_KERNEL_TABLE(kTable);

}  // namespace strata::kernels
