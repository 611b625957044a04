#include "strata/framework/elementwise.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

// Every count up to several vectors, from every place in a vector, with a margin that must stay as it is.
template <class T>
void check() {
  constexpr Index kMargin = 3, kMost = 150;
  const auto& kernel = kernels::table<kernels::Elementwise<T>>();
  for (Index count = 0; count <= kMost; ++count)
    for (Index offset = 0; offset < 2; ++offset) {
      const auto size = static_cast<std::size_t>(offset + count + kMargin);
      const Tensor<T> a = Random(1).normal<T>({size}), b = Random(2).normal<T>({size});
      Tensor<T> sum = a, third = a, onto_b = b, copied = a, expected_sum = a, expected_onto_b = b,
                expected_copy = a;
      for (Index i = offset; i < offset + count; ++i) {
        expected_sum(i) = expected_onto_b(i) = a(i) + b(i);
        expected_copy(i) = b(i);
      }
      kernel.add(sum.data() + offset, b.data() + offset, count);
      kernel.sum(a.data() + offset, b.data() + offset, third.data() + offset, count);
      kernel.sum(a.data() + offset, onto_b.data() + offset, onto_b.data() + offset, count);
      kernel.copy(copied.data() + offset, b.data() + offset, count);
      ASSERT_TRUE(testing::same_bits(sum, expected_sum)) << count << " at " << offset;
      ASSERT_TRUE(testing::same_bits(third, expected_sum)) << count << " at " << offset;
      ASSERT_TRUE(testing::same_bits(onto_b, expected_onto_b)) << count << " at " << offset;
      ASSERT_TRUE(testing::same_bits(copied, expected_copy)) << count << " at " << offset;
    }
}

TEST(Elementwise, AddsAndCopiesAnyCountAndNoMore) {
  testing::for_each_instruction_set([] {
    check<float>();
    check<double>();
  });
}

}  // namespace
}  // namespace strata
