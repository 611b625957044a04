#include "strata/layers/kernels/direct.hpp"

#include <xsimd/xsimd.hpp>

#include "strata/framework/instruction_set.hpp"

namespace strata::kernels {
namespace {

using Vector = xsimd::batch<float>;
constexpr Index kLanes = static_cast<Index>(Vector::size);

// A tile of kRows x kVectors vectors of c stays in registers: 16 sums of the 32 registers of AVX-512, 12 of
// the 16 of the other sets. Two loads and kRows broadcasts feed 2 kRows multiply-adds.
constexpr int kRows = kLanes == 16 ? 8 : 6;
constexpr int kVectors = 2;

template <int rows, int vectors>
[[gnu::always_inline]] inline void multiply_tile(const Product& p, Index m, Index n) {
  Vector sums[rows][vectors];
  float* c = p.c + m * p.c_row + n;
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v)
      sums[r][v] = p.accumulate ? Vector::load_aligned(c + r * p.c_row + v * kLanes) : Vector(0.0f);

  const Index a_row = p.a_row, a_inner = p.a_inner, b_inner = p.b_inner;
  for (Index o = 0; o < p.outer; ++o) {
    const float* a = p.a + m * a_row + o * p.a_outer;
    const float* b = p.b + n + o * p.b_outer;
    for (Index i = 0; i < p.inner; ++i, a += a_inner, b += b_inner) {
      Vector factors[vectors];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) factors[v] = Vector::load_aligned(b + v * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const Vector factor(a[r * a_row]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) sums[r][v] = xsimd::fma(factor, factors[v], sums[r][v]);
      }
    }
  }

#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sums[r][v].store_aligned(c + r * p.c_row + v * kLanes);
}

template <int vectors>
void multiply_columns(const Product& p, Index n) {
  Index m = 0;
  for (; m + kRows <= p.rows; m += kRows) multiply_tile<kRows, vectors>(p, m, n);
  if (m + 4 <= p.rows) {
    multiply_tile<4, vectors>(p, m, n);
    m += 4;
  }
  if (m + 2 <= p.rows) {
    multiply_tile<2, vectors>(p, m, n);
    m += 2;
  }
  if (m < p.rows) multiply_tile<1, vectors>(p, m, n);
}

void multiply(const Product& p) {
  Index n = 0;
  for (; n + kVectors * kLanes <= p.columns; n += kVectors * kLanes) multiply_columns<kVectors>(p, n);
  if (n < p.columns) multiply_columns<1>(p, n);
}

constexpr Direct kTable{multiply};

}  // namespace

template <>
const Direct& compiled_for<Direct, InstructionSet::STRATA_ISA>() {
  return kTable;
}

}  // namespace strata::kernels
