// Products of many rows. Over a tile of sums in registers (direct.hpp):
//   1. blocks of one factor are packed so that a tile reads them from end to end.
//   2. blocks that stay in the L2 cache while all rows of the other factor go by.
#include "strata/layers/kernels/product/packed_product.hpp"

#include <algorithm>
#include <cstdint>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/processor_cache.hpp"
#include "strata/layers/kernels/convolution/pixels.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/scratch.hpp"

namespace strata::kernels {
namespace {

// A block of b, of terms and columns, stays in the L2 cache while the rows of a go by, some at a time. The
// more terms, the fewer times c goes by; the more columns, the fewer times a does.
constexpr Index kTerms = 384, kColumns = 256, kRows = 56;
// Between rows of a copy of a: their distance must not be a power of two, for then a column would fall on few
// lines of the cache.
constexpr Index kGap = 16;
// Where rows of a adjoin, so few terms are read as they lie.
constexpr Index kFewTerms = 64;

// Whether rows of a, of adjoining terms, are read by way of a copy: at a multiple of 4 KB from each other
// they fall on the same lines of the first cache, which may be fewer than the rows that are read at a time.
// Else it takes .9 to .96 of the time to read them as they lie.
bool rows_collide(Index distance) {
  constexpr Index kBytes = 4096, kEnoughWays = 12;
  return distance * Index{sizeof(float)} % kBytes == 0 && l1_cache_ways() < kEnoughWays;
}

// Columns that the inner loops take at a time.
Index strip_width() {
  return 2 * table<PixelLayout>().lanes;
}

void copy_rows(const float* from, Index from_row, Index rows, Index columns, float* to, Index to_row) {
  for (Index r = 0; r < rows; ++r) std::copy_n(from + r * from_row, columns, to + r * to_row);
}

struct Range {
  Index begin;
  Index count;
};

// Columns of b in strips as wide as the inner loops take them, `depth` rows from one to the next. Rows of b
// are read from end to end: they may lie on a page each.
void copy_strips(const MatrixProduct<float>& p, Transpose of_b, Range columns, Range terms, float* to,
                 Index depth) {
  const auto& layout = table<PixelLayout>();
  const Index strip = strip_width();
  if (of_b == Transpose::yes) {
    for (Index n = 0; n < columns.count; n += strip)
      layout.to_pixels(p.b + (columns.begin + n) * p.b_row + terms.begin, p.b_row,
                       smaller(strip, columns.count - n), 1, terms.count, {to + n * depth, 0, strip});
    return;
  }
  for (Index t = 0; t < terms.count; ++t) {
    const float* const from = p.b + (terms.begin + t) * p.b_row + columns.begin;
    for (Index n = 0; n < columns.count; n += strip)
      std::copy_n(from + n, smaller(strip, columns.count - n), to + n * depth + t * strip);
  }
}

// Whether vectors of b's columns may be written to c as it lies.
bool is_aligned(const MatrixProduct<float>& p, Index lanes) {
  const Index bytes = lanes * Index{sizeof(float)};
  return p.columns % lanes == 0 && p.c_row % lanes == 0 &&
         reinterpret_cast<std::uintptr_t>(p.c) % static_cast<std::uintptr_t>(bytes) == 0;
}

// OpenBLAS's copies take longer than ours, and much of the time where few rows or terms are there to share
// them.
bool is_faster_packed(const MatrixProduct<float>& p) {
  constexpr Index kFew = 64;
  return instruction_set() == InstructionSet::avx512 ? p.rows * p.terms * p.columns > kSmallProduct
                                                     : smaller(p.rows, p.terms) <= kFew;
}

}  // namespace

void multiply_packed(const MatrixProduct<float>& p, Transpose of_b) {
  const Index lanes = table<PixelLayout>().lanes, strip = strip_width();
  const Index width = smaller(kColumns, round_up(p.columns, lanes)), height = smaller(kRows, p.rows),
              depth = std::clamp<Index>(p.terms, 1, kTerms);
  const bool terms_adjoin = p.a_term == 1,
             copies_a = terms_adjoin ? rows_collide(p.a_row) : p.terms > kFewTerms,
             copies_c = !is_aligned(p, lanes);
  const Index a_pitch = terms_adjoin ? depth + kGap : height;
  const Index a_size = copies_a ? (terms_adjoin ? height : depth) * a_pitch : 0,
              b_size = depth * round_up(width, strip), c_size = copies_c ? height * width : 0;
  const Scratch<float> a_block(a_size), b_block(b_size), c_block(c_size);
  // The last vector of a row may go on behind its columns, where any numbers do, but not such as take the
  // processor longer.
  if (copies_c) {
    std::fill_n(b_block.data(), b_size, 0.0f);
    std::fill_n(c_block.data(), c_size, 0.0f);
  }

  for (Index column = 0; column < p.columns; column += width) {
    const Index columns = smaller(width, p.columns - column);
    for (Index term = 0; term == 0 || term < p.terms; term += depth) {
      const Index terms = smaller(depth, p.terms - term);
      copy_strips(p, of_b, {column, columns}, {term, terms}, b_block.data(), depth);
      for (Index row = 0; row < p.rows; row += height) {
        const Index rows = smaller(height, p.rows - row);
        const float* const a = p.a + row * p.a_row + term * p.a_term;
        if (copies_a && terms_adjoin)
          copy_rows(a, p.a_row, rows, terms, a_block.data(), a_pitch);
        else if (copies_a)
          copy_rows(a, p.a_term, terms, rows, a_block.data(), a_pitch);
        float* const c = p.c + row * p.c_row + column;
        const bool accumulate = term > 0 || p.accumulate;
        if (copies_c && accumulate) copy_rows(c, p.c_row, rows, columns, c_block.data(), width);
        for (Index n = 0; n < columns; n += strip)
          multiply_directly({.rows = rows,
                             .terms = terms,
                             .columns = smaller(strip, columns - n),
                             .a = copies_a ? a_block.data() : a,
                             .a_row = copies_a && terms_adjoin ? a_pitch : p.a_row,
                             .a_term = copies_a && !terms_adjoin ? a_pitch : p.a_term,
                             .b = b_block.data() + n * depth,
                             .b_row = strip,
                             .c = (copies_c ? c_block.data() : c) + n,
                             .c_row = copies_c ? width : p.c_row,
                             .accumulate = accumulate});
        if (copies_c) copy_rows(c_block.data(), width, rows, columns, c, p.c_row);
      }
    }
  }
}

void multiply_general(const MatrixProduct<float>& product, Transpose of_b) {
  is_faster_packed(product) ? multiply_packed(product, of_b) : multiply_by_blas(product, of_b);
}

void multiply_general(const MatrixProduct<double>& product, Transpose of_b) {
  multiply_by_blas(product, of_b);
}

}  // namespace strata::kernels
