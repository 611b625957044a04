// Products of a large matrix with a thin one against the loops of their definition.
#include "strata/framework/instruction_set.hpp"
#include "strata/layers/kernels/thin_products.hpp"
#include "tests/layers/layer_checks.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using kernels::ThinProduct;
using kernels::ThinProducts;
using testing::for_each_instruction_set;
using testing::max_error;
using testing::pick;

template <class T>
class ThinProductsOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ThinProductsOf, Types);

template <class T>
constexpr double kTolerance = 200 * static_cast<double>(std::numeric_limits<T>::epsilon());

template <class T>
Tensor<T> matrix(Random& random, Index rows, Index columns) {
  return random.normal<T>({static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)});
}

// The columns of a matrix that a product uses, and some that it must leave alone.
Index wider(Random& random, Index columns) {
  return columns + pick(random, 0, 3);
}

// The product of `a` and `b`, both or either transposed, where `c` has columns, and `before` beside them.
template <class T>
Tensor<double> plain(const Tensor<T>& a, bool a_transposed, const Tensor<T>& b, bool b_transposed,
                     Index terms, Index columns, const Tensor<T>& before, const Tensor<T>* bias = nullptr) {
  Tensor<double> c = testing::widen(before);
  for (std::size_t m = 0; m < c.shape()[0]; ++m)
    for (Index n = 0; n < columns; ++n) {
      double sum = bias ? static_cast<double>((*bias)(n)) : 0;
      for (Index t = 0; t < terms; ++t)
        sum += static_cast<double>(a_transposed ? a(t, m) : a(m, t)) *
               static_cast<double>(b_transposed ? b(n, t) : b(t, n));
      c(m, n) = sum;
    }
  return c;
}

TYPED_TEST(ThinProductsOf, EqualThePlainLoopsOnEveryInstructionSet) {
  using T = TypeParam;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    const bool transposed = random.below(2) == 0;
    // Either may be the thin one.
    const Index few = pick(random, 0, 9), many = pick(random, 1, 70), columns = pick(random, 1, 70);
    const auto [rows, terms] = random.below(2) == 0 ? std::pair(few, many) : std::pair(many, few);
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << rows << ", " << terms << ", " << columns);
    const Tensor<T> a = transposed ? matrix<T>(random, terms, wider(random, rows))
                                   : matrix<T>(random, rows, wider(random, terms));
    const Tensor<T> b = matrix<T>(random, terms, wider(random, columns));
    Tensor<T> before = matrix<T>(random, rows, wider(random, columns));
    const Tensor<double> expected = plain(a, transposed, b, false, terms, columns, before);
    for (Index m = 0; m < rows; ++m)
      for (Index n = 0; n < columns; ++n) before(m, n) = NAN;
    const auto a_row = static_cast<Index>(a.shape()[1]);
    for_each_instruction_set([&] {
      Tensor<T> c = before;
      kernels::table<ThinProducts<T>>().multiply(
          {rows, terms, columns, a.data(), transposed ? 1 : a_row, transposed ? a_row : 1, b.data(),
           static_cast<Index>(b.shape()[1]), c.data(), static_cast<Index>(c.shape()[1])});
      EXPECT_LE(max_error(c, expected, 1), kTolerance<T>);
    });
    if (::testing::Test::HasFailure()) return;
  }
}

TYPED_TEST(ThinProductsOf, WithATransposedMatrixEqualThePlainLoopsOnEveryInstructionSet) {
  using T = TypeParam;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    const Index rows = pick(random, 0, 20), terms = pick(random, 0, 100), columns = pick(random, 1, 40);
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << rows << ", " << terms << ", " << columns);
    const Tensor<T> a = matrix<T>(random, rows, wider(random, terms));
    const Tensor<T> b = matrix<T>(random, columns, wider(random, terms));
    const auto bias = random.normal<T>({static_cast<std::size_t>(columns)});
    const bool with_bias = random.below(2) == 0;
    Tensor<T> before = matrix<T>(random, rows, wider(random, columns));
    const Tensor<double> expected =
        plain(a, false, b, true, terms, columns, before, with_bias ? &bias : nullptr);
    for (Index m = 0; m < rows; ++m)
      for (Index n = 0; n < columns; ++n) before(m, n) = NAN;
    for_each_instruction_set([&] {
      Tensor<T> c = before;
      kernels::table<ThinProducts<T>>().multiply_transposed(
          {rows, terms, columns, a.data(), static_cast<Index>(a.shape()[1]), 1, b.data(),
           static_cast<Index>(b.shape()[1]), c.data(), static_cast<Index>(c.shape()[1])},
          with_bias ? bias.data() : nullptr);
      EXPECT_LE(max_error(c, expected, 1), kTolerance<T>);
    });
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace strata
