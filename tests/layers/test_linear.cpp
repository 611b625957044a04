#include <gtest/gtest.h>

#include "strata/strata.hpp"

namespace strata {
namespace {

TEST(Linear, AppliesWeightAndBias) {
  Linear<double> layer(2, 3);
  layer.weight().value = Tensor<double>{{1, 2}, {3, 4}, {5, 6}};
  layer.bias().value = Tensor<double>{10, 20, 30};
  const Tensor<double> y = layer.forward(Tensor<double>{{1, -1}});
  EXPECT_EQ(y, (Tensor<double>{{9, 19, 29}}));
}

}  // namespace
}  // namespace strata
