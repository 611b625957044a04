#include <gtest/gtest.h>

#include "strata/strata.hpp"

namespace strata {
namespace {

TEST(Flatten, KeepsTheMemory) {
  Flatten<float> layer;
  auto x = Random(1).normal<float>({2, 3, 4, 5});
  const Tensor<float> before = x;
  const float* const memory = x.data();
  auto y = layer.forward(std::move(x));
  EXPECT_EQ(y.shape(), (Shape{2, 60}));
  EXPECT_EQ(y.data(), memory);
  const auto dx = layer.backward(std::move(y));
  EXPECT_EQ(dx.data(), memory);
  EXPECT_EQ(dx, before);
}

TEST(Flatten, TakesAnyNumberOfAxesFromTwo) {
  const Flatten<double> layer;
  EXPECT_EQ(layer.output_shape({7, 5}), (Shape{7, 5}));
  EXPECT_EQ(layer.output_shape({7, 5, 3}), (Shape{7, 15}));
  EXPECT_EQ(layer.output_shape({0, 5, 3}), (Shape{0, 15}));
  EXPECT_EQ(layer.infer(full<double>({2, 1, 3}, 1.0)).shape(), (Shape{2, 3}));
  try {
    layer.output_shape({7});
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "Flatten: expected at least two axes, (N, ...), got (7)");
  }
}

}  // namespace
}  // namespace strata
