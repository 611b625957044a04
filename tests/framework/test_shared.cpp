#include <gtest/gtest.h>

#include "strata/framework/graph/join.hpp"
#include "strata/framework/shared.hpp"

namespace strata {
namespace {

TEST(Shared, GivesItsMemoryToTheLastHolderAlone) {
  Tensor<float> x{1, 2, 3};
  const float* memory = x.data();
  Shared<float> a = std::move(x), b = a;
  EXPECT_FALSE(a.is_last());
  const Tensor<float> copied = std::move(a).take();
  EXPECT_NE(copied.data(), memory);
  EXPECT_TRUE(b.is_last());
  EXPECT_EQ(*b, copied);
  const Tensor<float> taken = std::move(b).take();
  EXPECT_EQ(taken.data(), memory);
  EXPECT_EQ(taken, copied);
}

TEST(Shared, FindsMemoryForAResult) {
  for (const bool first_is_held : {false, true})
    for (const bool second_is_held : {false, true}) {
      Shared<double> a = Tensor<double>{1, 2}, b = Tensor<double>{10, 20};
      const Shared<double> of_a = first_is_held ? a : Shared<double>(),
                           of_b = second_is_held ? b : Shared<double>();
      const double *at_a = a->data(), *at_b = b->data();
      const Shared<double> y = added(std::move(a), std::move(b));
      EXPECT_EQ(*y, (Tensor<double>{11, 22}));
      EXPECT_EQ(y->data() == at_a, !first_is_held);
      EXPECT_EQ(y->data() == at_b, first_is_held && !second_is_held);
      if (first_is_held) {
        EXPECT_EQ(*of_a, (Tensor<double>{1, 2}));
      }
      if (second_is_held) {
        EXPECT_EQ(*of_b, (Tensor<double>{10, 20}));
      }
    }
  Shared<double> a = Tensor<double>{1, 2}, same = a;
  EXPECT_EQ(*added(std::move(a), std::move(same)), (Tensor<double>{2, 4}));
}

}  // namespace
}  // namespace strata
