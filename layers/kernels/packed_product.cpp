#include "strata/layers/kernels/packed_product.hpp"

#include <algorithm>
#include <cstdint>

#include "strata/framework/instruction_set.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/pixels.hpp"
#include "strata/layers/kernels/scratch.hpp"

namespace strata::kernels {
namespace {

// A block of b, of terms and columns, stays in the L2 cache while the rows of a go by, some at a time.
constexpr Index kTerms = 256, kColumns = 256, kRows = 56;
// Between rows of a copy: their distance must not be a power of two, for then a column would fall on few
// lines of the cache.
constexpr Index kGap = 16;

void copy_rows(const float* from, Index from_row, Index rows, Index columns, float* to, Index to_row) {
  for (Index r = 0; r < rows; ++r) std::copy_n(from + r * from_row, columns, to + r * to_row);
}

// Whether vectors of b's columns may be written to c as it lies.
bool is_aligned(const MatrixProduct<float>& p, Index lanes) {
  const Index bytes = lanes * Index{sizeof(float)};
  return p.columns % lanes == 0 && p.c_row % lanes == 0 &&
         reinterpret_cast<std::uintptr_t>(p.c) % static_cast<std::uintptr_t>(bytes) == 0;
}

// OpenBLAS's copies take longer than ours, and much of the time where few rows or terms are there to share
// them. With AVX-512 they take longest where b is transposed.
bool is_faster_packed(const MatrixProduct<float>& p, Transpose of_b) {
  constexpr Index kFew = 64;
  const bool avx512 = instruction_set() == InstructionSet::avx512;
  if (avx512 && p.rows * p.terms * p.columns <= kSmallProduct) return false;
  return smaller(p.rows, p.terms) <= kFew || (avx512 && of_b == Transpose::yes);
}

}  // namespace

void multiply_packed(const MatrixProduct<float>& p, Transpose of_b) {
  const auto& layout = table<PixelLayout>();
  const Index lanes = layout.lanes, width = smaller(kColumns, round_up(p.columns, lanes));
  const Index height = smaller(kRows, p.rows), depth = std::clamp<Index>(p.terms, 1, kTerms);
  const Index a_pitch = depth + kGap, b_pitch = width + kGap;
  // a is read as it lies where its rows are neighbors: the inner loops take a line of the cache at a time.
  const bool copies_a = p.a_term == 1, copies_c = !is_aligned(p, lanes);
  const Scratch<float> a_block(copies_a ? height * a_pitch : 0), b_block(depth * b_pitch),
      c_block(copies_c ? height * width : 0);
  // The last vector of a row may go on behind its columns, where any numbers do, but not such as take the
  // processor longer.
  if (copies_c) {
    std::fill_n(b_block.data(), depth * b_pitch, 0.0f);
    std::fill_n(c_block.data(), height * width, 0.0f);
  }

  for (Index column = 0; column < p.columns; column += width) {
    const Index columns = smaller(width, p.columns - column);
    for (Index term = 0; term == 0 || term < p.terms; term += depth) {
      const Index terms = smaller(depth, p.terms - term);
      if (of_b == Transpose::yes)
        layout.to_pixels(p.b + column * p.b_row + term, p.b_row, columns, 1, terms,
                         {b_block.data(), 0, b_pitch});
      else
        copy_rows(p.b + term * p.b_row + column, p.b_row, terms, columns, b_block.data(), b_pitch);

      for (Index row = 0; row < p.rows; row += height) {
        const Index rows = smaller(height, p.rows - row);
        const float* a = p.a + row * p.a_row + term * p.a_term;
        if (copies_a) copy_rows(a, p.a_row, rows, terms, a_block.data(), a_pitch);
        float* const c = p.c + row * p.c_row + column;
        const bool accumulate = term > 0 || p.accumulate;
        if (copies_c && accumulate) copy_rows(c, p.c_row, rows, columns, c_block.data(), width);
        multiply_directly({.rows = rows,
                           .terms = terms,
                           .columns = columns,
                           .a = copies_a ? a_block.data() : a,
                           .a_row = copies_a ? a_pitch : p.a_row,
                           .a_term = p.a_term,
                           .b = b_block.data(),
                           .b_row = b_pitch,
                           .c = copies_c ? c_block.data() : c,
                           .c_row = copies_c ? width : p.c_row,
                           .accumulate = accumulate});
        if (copies_c) copy_rows(c_block.data(), width, rows, columns, c, p.c_row);
      }
    }
  }
}

void multiply_general(const MatrixProduct<float>& product, Transpose of_b) {
  is_faster_packed(product, of_b) ? multiply_packed(product, of_b) : multiply_by_blas(product, of_b);
}

void multiply_general(const MatrixProduct<double>& product, Transpose of_b) {
  multiply_by_blas(product, of_b);
}

}  // namespace strata::kernels
