#include <gtest/gtest.h>

#include "tests/layers/kernels/convolution_problem.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using namespace strata::testing;

// Depthwise, with a channel multiplier, of several channels a group, or not grouped at all; narrow images, of
// which several share vectors, and wide ones; strides larger than the window.
TEST(GroupedConvolution, EqualsThePlainLoopsOnEveryInstructionSet) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    const Index groups = pick(random, 1, 6), largest_stride = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 2 : 4;
    ConvCase c{
        .batch = pick(random, 1, 5),
        .in_channels = groups * (seed % 2 == 0 ? 1 : pick(random, 1, 4)),
        .out_channels = groups * pick(random, 1, 3),
        .size = seed % 5 == 0 ? Size2D(pick(random, 1, 6), pick(random, 20, 70)) : pick_size(random, 1, 20),
        .kernel = seed % 4 == 0 ? Size2D(3) : pick_size(random, 1, seed % 7 == 0 ? 9 : 5),
        .stride = pick_size(random, 1, largest_stride),
        .padding = pick_size(random, 0, 4),
        .dilation = seed % 5 < 3 ? Size2D(1) : pick_size(random, 1, 3),
        .groups = groups};
    c.size.h = std::max(c.size.h, c.dilation.h * (c.kernel.h - 1) + 1 - 2 * c.padding.h);
    c.size.w = std::max(c.size.w, c.dilation.w * (c.kernel.w - 1) + 1 - 2 * c.padding.w);
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    const Problem problem = make_problem(c, random);
    for_each_instruction_set([&] { expect_near(run(kernels::kGrouped, problem), problem.expected(), 1e-5); });
  }
}

// Images that are cut into several blocks, and pieces of several blocks and groups.
TEST(GroupedConvolution, EqualsThePlainLoopsForLargerShapes) {
  const ConvCase cases[] = {
      {.batch = 2,
       .in_channels = 3,
       .out_channels = 6,
       .size = {130, 1100},
       .kernel = 3,
       .padding = 1,
       .groups = 3},
      {.batch = 2,
       .in_channels = 16,
       .out_channels = 16,
       .size = {90, 150},
       .kernel = {5, 3},
       .stride = 2,
       .padding = {2, 1},
       .groups = 2},
      {.batch = 37,
       .in_channels = 40,
       .out_channels = 40,
       .size = 7,
       .kernel = 3,
       .padding = 1,
       .groups = 40},
      {.batch = 9,
       .in_channels = 24,
       .out_channels = 24,
       .size = 28,
       .kernel = 5,
       .padding = 2,
       .groups = 24},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(11);
    const Problem problem = make_problem(c, random);
    expect_near(run(kernels::kGrouped, problem), problem.expected(), 1e-5);
    expect_same_bits_for_any_number_of_threads(kernels::kGrouped, problem);
  }
}

// Zeros beside an image must not be multiplied with what another left there.
TEST(GroupedConvolution, KeepsImagesApart) {
  const ConvCase c{
      .batch = 11, .in_channels = 2, .out_channels = 2, .size = 5, .kernel = 3, .padding = 1, .groups = 2};
  Random random(3);
  Problem problem = make_problem(c, random);
  const auto clean = run(kernels::kGrouped, problem);
  std::fill_n(problem.x.data() + problem.x.size() / 11 * 4, problem.x.size() / 11, std::nanf(""));
  const auto spoiled = run(kernels::kGrouped, problem);
  for (std::size_t i = 0; i < clean.y.size(); ++i) {
    const bool of_spoiled_image = i / (clean.y.size() / 11) == 4;
    EXPECT_EQ(std::isnan(spoiled.y.data()[i]), of_spoiled_image);
    if (!of_spoiled_image) {
      EXPECT_EQ(spoiled.y.data()[i], clean.y.data()[i]);
    }
  }
}

}  // namespace
}  // namespace strata
