#include <gtest/gtest.h>

#include "strata/layers/kernels/convolution/convolution.hpp"
#include "tests/layers/kernels/convolution_problem.hpp"
#include "tests/layers/kernels/image_layouts.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using namespace strata::testing;

bool has_backward_data(const ConvCase& c) {
  return c.padding.h <= (c.kernel.h - 1) * c.dilation.h && c.padding.w <= (c.kernel.w - 1) * c.dilation.w;
}

TEST(DirectConvolution, EqualsThePlainLoopsOnEveryInstructionSet) {
  int with_backward_data = 0;
  for (std::uint64_t seed = 0; seed < some(500u); ++seed) {
    Random random(seed);
    const auto pick = [&](std::uint64_t low, std::uint64_t high) {
      return static_cast<Index>(low + random.below(high - low + 1));
    };
    const std::uint64_t largest_stride = seed % 2 == 0 ? 1 : 4;
    const Index groups = seed % 3 == 0 ? pick(2, 3) : 1;
    ConvCase c{.batch = pick(1, 4),
               .in_channels = groups * pick(1, 20),
               .out_channels = groups * pick(1, 40),
               .size = {pick(1, 12), pick(1, 12)},
               .kernel = {pick(1, 6), pick(1, 6)},
               .stride = {pick(1, largest_stride), pick(1, largest_stride)},
               .padding = {pick(0, 3), pick(0, 3)},
               .dilation = {pick(1, 3), seed % 4 < 2 ? 1 : pick(1, 3)},
               .groups = groups};
    c.size.h = std::max(c.size.h, c.dilation.h * (c.kernel.h - 1) + 1 - 2 * c.padding.h);
    c.size.w = std::max(c.size.w, c.dilation.w * (c.kernel.w - 1) + 1 - 2 * c.padding.w);
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    const Problem problem = make_problem(c, random);
    with_backward_data += has_backward_data(c);
    for_each_instruction_set([&] {
      expect_near(run(kernels::kDirect, problem, has_backward_data(c)), problem.expected(), 1e-5,
                  has_backward_data(c));
    });
  }
  EXPECT_GT(with_backward_data, some(300));
}

// The same as of planes, but for the sign of zeros.
TEST(DirectConvolution, TakesAndGivesPixels) {
  int with_backward_data = 0, with_x = 0;
  for (std::uint64_t seed = 0; seed < some(600u); ++seed) {
    Random random(seed);
    ConvCase c{.batch = pick(random, 1, 6),
               .in_channels = seed % 2 ? 16 * pick(random, 1, 3) : pick(random, 1, 40),
               .out_channels = 16 * pick(random, 1, 3),
               .size = {pick(random, 5, 16), pick(random, 5, 16)},
               .kernel = pick(random, 1, 5),
               .stride = pick(random, 1, 3),
               .padding = pick(random, 0, 2)};
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    Problem p = make_problem(c, random);
    p.shape.winograd = false;
    p.shape.rectify = random.below(2) == 0;
    for_each_instruction_set([&] {
      const auto abilities = kernels::image_abilities<float>(p.shape);
      if (!abilities.y_as_pixels) return;
      const auto any = [&](bool pixels) {
        return pixels && random.below(3) != 0 ? ImageLayout::pixels : ImageLayout::planes;
      };
      const ImageLayout of_x = any(abilities.x_as_pixels), of_y = any(true);
      const auto x = in_layout(p.x, of_x), dy = in_layout(p.dy, of_y);
      with_x += of_x == ImageLayout::pixels;
      const bool backward_data = kernels::kDirect.can_backward_data(p.shape, ImageLayout::planes);
      with_backward_data += backward_data;
      const auto expected = run(kernels::kDirect, p, backward_data);
      auto y = full<float>(p.dy.shape(), NAN), dx = full<float>(p.x.shape(), NAN),
           dw = full<float>(p.w.shape(), NAN);
      kernels::convolve<float>(p.shape, {x.data(), of_x}, p.w.data(), p.bias.data(), {y.data(), of_y});
      EXPECT_EQ(as_planes(y, of_y), expected.y);
      kernels::convolve_backward<float>(p.shape, {x.data(), of_x}, {dy.data(), of_y}, p.w.data(), dw.data(),
                                        {dx.data(), of_x});
      EXPECT_EQ(dw, expected.dw);
      if (backward_data)
        EXPECT_EQ(as_planes(dx, of_x), expected.dx);
      else  // perhaps by another algorithm
        EXPECT_LE(max_error(as_planes(dx, of_x), p.expected().dx), 1e-5);
    });
    if (HasFailure()) return;
  }
  EXPECT_GT(with_backward_data, some(300));
  EXPECT_GT(with_x, some(300));
}

// Images that are cut into several blocks, and blocks of several images.
TEST(DirectConvolution, EqualsThePlainLoopsForLargerShapes) {
  const ConvCase cases[] = {
      {.batch = 2, .in_channels = 3, .out_channels = 24, .size = {90, 85}, .kernel = 5, .padding = 2},
      {.batch = 2,
       .in_channels = 3,
       .out_channels = 16,
       .size = {70, 95},
       .kernel = 7,
       .stride = 2,
       .padding = 3},
      {.batch = 3,
       .in_channels = 24,
       .out_channels = 20,
       .size = {61, 90},
       .kernel = 4,
       .stride = {2, 3},
       .padding = 1},
      {.batch = 2,
       .in_channels = 16,
       .out_channels = 20,
       .size = {70, 64},
       .kernel = 3,
       .stride = 2,
       .padding = {2, 4},
       .dilation = {1, 2}},
      {.batch = 1,
       .in_channels = 3,
       .out_channels = 16,
       .size = {81, 400},
       .kernel = 3,
       .stride = {2, 3},
       .padding = 1},
      {.batch = 1, .in_channels = 3, .out_channels = 32, .size = {90, 300}, .kernel = 3, .dilation = {2, 1}},
      {.batch = 70, .in_channels = 5, .out_channels = 32, .size = 6, .kernel = 3, .padding = 1},
      {.batch = 1,
       .in_channels = 16,
       .out_channels = 16,
       .size = {2, 700},
       .kernel = {2, 5},
       .padding = {1, 4}},
      {.batch = 33,
       .in_channels = 64,
       .out_channels = 96,
       .size = 8,
       .kernel = 3,
       .padding = 2,
       .dilation = 2,
       .groups = 2},
      {.batch = 1,
       .in_channels = 48,
       .out_channels = 48,
       .size = {65, 70},
       .kernel = 3,
       .stride = 2,
       .padding = 1,
       .groups = 3},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(11);
    const Problem problem = make_problem(c, random);
    expect_near(run(kernels::kDirect, problem, has_backward_data(c)), problem.expected(), 1e-5,
                has_backward_data(c));
    expect_same_bits_for_any_number_of_threads(kernels::kDirect, problem, has_backward_data(c));
  }
}

}  // namespace
}  // namespace strata
