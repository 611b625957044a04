// Products of matrices against the loops of their definition.
#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/processor_cache.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/product/packed_product.hpp"
#include "strata/layers/kernels/product/thin_products.hpp"
#include "tests/layers/layer_checks.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using kernels::MatrixProduct;
using testing::for_each_instruction_set;
using testing::max_error;
using testing::pick;

template <class T>
using Multiply = void (*)(const MatrixProduct<T>&);

struct Extents {
  Index rows;
  Index terms;
  Index columns;
};

/// A product of random matrices whose rows are longer than it takes. `step`: c may be written to up to a
/// multiple of it, and rows of b and c are as long as one.
template <class T>
class RandomProduct {
 public:
  RandomProduct(const Extents& extents, bool of_transposed_a, bool of_transposed_b, Index step,
                Random& random)
      : extents_(extents),
        of_transposed_a_(of_transposed_a),
        step_(step),
        accumulate_(random.below(2) == 0),
        a_(of_transposed_a ? matrix(extents.terms, extents.rows, 1, random)
                           : matrix(extents.rows, extents.terms, 1, random)),
        b_(of_transposed_b ? matrix(extents.columns, extents.terms, step, random)
                           : matrix(extents.terms, extents.columns, step, random)),
        before_(random.normal<T>(matrix(extents.rows, extents.columns, step, random).shape())),
        expected_(testing::widen(before_)) {
    for (Index m = 0; m < extents.rows; ++m)
      for (Index n = 0; n < extents.columns; ++n) {
        double sum = accumulate_ ? static_cast<double>(before_(m, n)) : 0;
        for (Index t = 0; t < extents.terms; ++t)
          sum += static_cast<double>(of_transposed_a ? a_(t, m) : a_(m, t)) *
                 static_cast<double>(of_transposed_b ? b_(n, t) : b_(t, n));
        expected_(m, n) = sum;
        if (!accumulate_) before_(m, n) = std::numeric_limits<T>::quiet_NaN();
      }
  }

  void expect(Multiply<T> multiply) const {
    SCOPED_TRACE(::testing::Message() << extents_.rows << ", " << extents_.terms << ", " << extents_.columns);
    Tensor<T> c = before_;
    const Index a_row = row_of(a_);
    multiply({extents_.rows, extents_.terms, extents_.columns, a_.data(), of_transposed_a_ ? 1 : a_row,
              of_transposed_a_ ? a_row : 1, b_.data(), row_of(b_), c.data(), row_of(c), accumulate_});
    for (Index m = 0; m < extents_.rows; ++m)
      for (Index n = extents_.columns; n < kernels::round_up(extents_.columns, step_); ++n)
        c(m, n) = before_(m, n);
    EXPECT_LE(max_error(c, expected_, 1), 80 * static_cast<double>(std::numeric_limits<T>::epsilon()));
  }

 private:
  static Index row_of(const Tensor<T>& matrix) { return static_cast<Index>(matrix.shape()[1]); }

  // NaN where the product has no business.
  static Tensor<T> matrix(Index rows, Index columns, Index step, Random& random) {
    const Index row = kernels::round_up(columns, step) + step * pick(random, 0, 2);
    auto result = random.normal<T>({static_cast<std::size_t>(rows), static_cast<std::size_t>(row)});
    for (Index m = 0; m < rows; ++m)
      for (Index n = columns; n < row; ++n) result(m, n) = std::numeric_limits<T>::quiet_NaN();
    return result;
  }

  Extents extents_;
  bool of_transposed_a_;
  Index step_;
  bool accumulate_;
  Tensor<T> a_, b_, before_;
  Tensor<double> expected_;
};

constexpr Index kLanes = 16;  // of any instruction set, at most

TEST(MatrixProduct, EqualsThePlainLoopsOnEveryInstructionSet) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Extents extents{pick(random, 1, 70), pick(random, 1, 70), pick(random, 1, 70)};
    const RandomProduct<float> product(extents, random.below(2) == 0, false, kLanes, random);
    for_each_instruction_set([&] {
      product.expect(kernels::multiply);
      product.expect(kernels::multiply_directly);
    });
    product.expect([](const MatrixProduct<float>& p) { kernels::multiply_by_blas(p); });
    if (::testing::Test::HasFailure()) return;
  }
}

template <Transpose of_b>
void expect_packed_products_equal_the_plain_loops() {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    // One in eight is larger than a block of the copies.
    const bool large = seed % 8 == 0;
    const Extents extents = large ? Extents{pick(random, 1, 180), pick(random, 0, 1100), pick(random, 1, 400)}
                                  : Extents{pick(random, 1, 17), pick(random, 0, 70), pick(random, 1, 70)};
    const bool of_transposed_a = random.below(2) == 0;
    const Index step = random.below(2) == 0 ? 1 : kLanes;
    const RandomProduct<float> product(extents, of_transposed_a, of_b == Transpose::yes, step, random);
    for_each_instruction_set([&] {
      product.expect([](const MatrixProduct<float>& p) { kernels::multiply_packed(p, of_b); });
      // BLAS refuses rows of no values.
      if (extents.terms > 0)
        product.expect([](const MatrixProduct<float>& p) { kernels::multiply_general(p, of_b); });
    });
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(MatrixProduct, PackedEqualsThePlainLoopsOnEveryInstructionSet) {
  expect_packed_products_equal_the_plain_loops<Transpose::no>();
}

TEST(MatrixProduct, PackedWithATransposedMatrixEqualsThePlainLoopsOnEveryInstructionSet) {
  expect_packed_products_equal_the_plain_loops<Transpose::yes>();
}

TEST(MatrixProduct, PackedEqualsThePlainLoopsWhereRowsFallOnTheSameLines) {
  const Index before = l1_cache_ways();
  for (const Index ways : {0, 8, 12}) {
    set_l1_cache_ways(ways);
    for (std::uint64_t seed = 0; seed < 30; ++seed) {  // of which a third has rows of 4 KB
      SCOPED_TRACE(::testing::Message() << seed << ", " << ways << " ways");
      Random random(seed);
      const RandomProduct<float> product({pick(random, 1, 100), 1024, pick(random, 1, 40)}, false, true, 1,
                                         random);
      product.expect([](const MatrixProduct<float>& p) { kernels::multiply_packed(p, Transpose::yes); });
    }
  }
  set_l1_cache_ways(before);
}

template <class T>
class ThinProducts : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ThinProducts, Types);

TYPED_TEST(ThinProducts, EqualThePlainLoopsOnEveryInstructionSet) {
  using T = TypeParam;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Index few = pick(random, 0, 9), many = pick(random, 1, 70), columns = pick(random, 1, 70);
    const bool few_rows = random.below(2) == 0;
    const Extents extents{few_rows ? few : many, few_rows ? many : few, columns};
    const RandomProduct<T> product(extents, random.below(2) == 0, false, 1, random);
    for_each_instruction_set([&] { product.expect(kernels::table<kernels::ThinProducts<T>>().multiply); });
    if (::testing::Test::HasFailure()) return;
  }
}

TYPED_TEST(ThinProducts, WithATransposedMatrixEqualThePlainLoopsOnEveryInstructionSet) {
  using T = TypeParam;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Extents extents{pick(random, 0, 20), pick(random, 0, 100), pick(random, 1, 40)};
    const RandomProduct<T> product(extents, false, true, 1, random);
    for_each_instruction_set(
        [&] { product.expect(kernels::table<kernels::ThinProducts<T>>().multiply_transposed); });
    // BLAS refuses rows of no values.
    if (extents.terms > 0)
      product.expect([](const MatrixProduct<T>& p) { kernels::multiply_by_blas(p, Transpose::yes); });
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace strata
