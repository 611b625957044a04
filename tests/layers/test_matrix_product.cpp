// Products of small matrices against the loops of their definition.
#include "strata/layers/kernels/matrix_product.hpp"
#include "tests/layers/layer_checks.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using testing::for_each_instruction_set;
using testing::max_error;
using testing::pick;

constexpr Index kLanes = 16;  // of any instruction set, at most

Index padded(Index columns) {
  return (columns + kLanes - 1) / kLanes * kLanes;
}

Tensor<float> matrix(Random& random, Index rows, Index columns) {
  return random.normal<float>({static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)});
}

TEST(MatrixProduct, EqualsThePlainLoopsOnEveryInstructionSet) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    const Index rows = pick(random, 1, 70), terms = pick(random, 1, 70), columns = pick(random, 1, 70);
    const bool transposed = random.below(2) == 0, accumulate = random.below(2) == 0;
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << rows << ", " << terms << ", " << columns);
    const Index b_row = padded(columns) + kLanes * pick(random, 0, 2);
    const Index c_row = padded(columns) + kLanes * pick(random, 0, 2);
    const Tensor<float> a = transposed ? matrix(random, terms, rows + pick(random, 0, 9))
                                       : matrix(random, rows, terms + pick(random, 0, 9));
    Tensor<float> b = matrix(random, terms, b_row);
    const Tensor<float> before = matrix(random, rows, c_row);
    Tensor<double> expected = testing::widen(before);
    for (Index t = 0; t < terms; ++t)
      for (Index n = columns; n < b_row; ++n) b(t, n) = NAN;
    for (Index m = 0; m < rows; ++m)
      for (Index n = 0; n < columns; ++n) {
        double sum = accumulate ? static_cast<double>(before(m, n)) : 0;
        for (Index t = 0; t < terms; ++t)
          sum += static_cast<double>(transposed ? a(t, m) : a(m, t)) * static_cast<double>(b(t, n));
        expected(m, n) = sum;
      }
    const auto a_row = static_cast<Index>(a.shape()[1]);
    for_each_instruction_set([&] {
      Tensor<float> c;
      for (const auto multiply : {kernels::multiply, kernels::multiply_directly}) {
        c = before;
        if (!accumulate)
          for (Index m = 0; m < rows; ++m)
            for (Index n = 0; n < columns; ++n) c(m, n) = NAN;
        multiply({rows, terms, columns, a.data(), transposed ? 1 : a_row, transposed ? a_row : 1, b.data(),
                  b_row, c.data(), c_row, accumulate});
        // What lies between the columns and the next multiple of the lanes may be anything.
        for (Index m = 0; m < rows; ++m)
          for (Index n = columns; n < padded(columns); ++n) c(m, n) = before(m, n);
        EXPECT_LE(max_error(c, expected, 1), 1e-5);
      }
    });
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace strata
