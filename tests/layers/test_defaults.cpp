// What an option is if it is not given: PyTorch's value, or what the header says instead.
#include <gtest/gtest.h>

#include "strata/strata.hpp"

namespace strata {
namespace {

TEST(LayerDefaults, Convolutions) {
  const Conv2DOptions conv;
  EXPECT_EQ(conv.stride, Size2D(1));
  EXPECT_EQ(conv.padding, Size2D(0));
  EXPECT_EQ(conv.dilation, Size2D(1));
  EXPECT_EQ(conv.groups, 1);
  EXPECT_TRUE(conv.bias);
  EXPECT_TRUE(conv.winograd);

  const ConvTranspose2DOptions transposed;
  EXPECT_EQ(transposed.stride, Size2D(1));
  EXPECT_EQ(transposed.padding, Size2D(0));
  EXPECT_EQ(transposed.output_padding, Size2D(0));
  EXPECT_EQ(transposed.dilation, Size2D(1));
  EXPECT_EQ(transposed.groups, 1);
  EXPECT_TRUE(transposed.bias);
  EXPECT_TRUE(transposed.winograd);
}

TEST(LayerDefaults, Norms) {
  const BatchNormOptions batch;
  EXPECT_EQ(batch.eps, 1e-5);
  EXPECT_EQ(batch.momentum, 0.1);
  EXPECT_EQ(batch.minimum_factor, 0);
  EXPECT_TRUE(batch.affine);
  EXPECT_TRUE(batch.track_running_stats);
  EXPECT_FALSE(batch.unbiased);

  const InstanceNormOptions instance;
  EXPECT_EQ(instance.eps, 1e-5);
  EXPECT_EQ(instance.momentum, 0.1);
  EXPECT_EQ(instance.minimum_factor, 0);
  EXPECT_TRUE(instance.affine);
  EXPECT_FALSE(instance.track_running_stats);
  EXPECT_FALSE(instance.unbiased);

  EXPECT_EQ(GroupNormOptions().eps, 1e-5);
  EXPECT_TRUE(GroupNormOptions().affine);
  EXPECT_EQ(LayerNormOptions().eps, 1e-5);
  EXPECT_TRUE(LayerNormOptions().affine);
}

TEST(LayerDefaults, TheCoursesNormalization) {
  const BatchNormParam<double> course;
  EXPECT_EQ(course.mode, BatchNormMode::train);
  EXPECT_EQ(course.eps, 1e-5);
  EXPECT_EQ(course.momentum, 0.9);
  EXPECT_EQ(course.running_mean.size(), 0u);
  EXPECT_EQ(course.running_var.size(), 0u);
}

TEST(LayerDefaults, TheRest) {
  EXPECT_EQ(MaxPool2DOptions().stride, std::nullopt);
  EXPECT_EQ(MaxPool2DOptions().padding, Size2D(0));
  EXPECT_EQ(AvgPool2DOptions().stride, std::nullopt);
  EXPECT_EQ(AvgPool2DOptions().padding, Size2D(0));
  EXPECT_TRUE(AvgPool2DOptions().count_include_pad);
  EXPECT_TRUE(LinearOptions().bias);
  EXPECT_EQ(Dropout<float>().options(), "p 0.5");
  EXPECT_EQ(Dropout2D<float>().options(), "p 0.5");
  EXPECT_EQ(LeakyReLU<float>().options(), "slope 0.01");
}

}  // namespace
}  // namespace strata
