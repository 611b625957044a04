#include <gtest/gtest.h>

#include "tests/layers/kernels/convolution_problem.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using namespace strata::testing;

/// Results have the size of the images.
ConvCase depthwise_case(Index batch, Index channels, Size2D size, Size2D kernel, Size2D dilation = 1) {
  return {.batch = batch,
          .in_channels = channels,
          .out_channels = channels,
          .size = size,
          .kernel = kernel,
          .padding = {dilation.h * (kernel.h - 1) / 2, dilation.w * (kernel.w - 1) / 2},
          .dilation = dilation,
          .groups = channels};
}

// Images smaller than a vector and than the window, windows of every size.
TEST(DepthwiseConvolution, EqualsThePlainLoopsOnEveryInstructionSet) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    const Size2D half = seed % 3 == 0 ? Size2D(1) : pick_size(random, 0, seed % 7 == 0 ? 4 : 2);
    ConvCase c =
        depthwise_case(pick(random, 1, 5), pick(random, 1, 9), {pick(random, 1, 20), pick(random, 1, 16)},
                       {2 * half.h + 1, 2 * half.w + 1}, seed % 5 < 3 ? Size2D(1) : pick_size(random, 1, 3));
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    const Problem problem = make_problem(c, random);
    ASSERT_TRUE(kernels::kDepthwise.can_forward(problem.shape));
    for_each_instruction_set(
        [&] { expect_near(run(kernels::kDepthwise, problem), problem.expected(), 1e-5); });
    if (HasFailure()) return;
  }
}

TEST(DepthwiseConvolution, GivesTheSameBitsForAnyNumberOfThreads) {
  const ConvCase cases[] = {depthwise_case(64, 37, {8, 8}, 3), depthwise_case(9, 20, {70, 13}, 5),
                            depthwise_case(3, 300, {16, 16}, {3, 5}, {2, 1})};
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(3);
    const Problem problem = make_problem(c, random);
    expect_near(run(kernels::kDepthwise, problem), problem.expected(), 1e-5);
    expect_same_bits_for_any_number_of_threads(kernels::kDepthwise, problem);
  }
}

// What lies at the other end of a row is not looked at.
TEST(DepthwiseConvolution, KeepsInfinitiesWhereTheyAre) {
  const ConvCase c = depthwise_case(1, 1, {5, 7}, 3);
  Random random(4);
  Problem p = make_problem(c, random);
  p.x(0, 0, 2, 6) = INFINITY;
  for_each_instruction_set([&] {
    auto y = full<float>(p.dy.shape(), NAN);
    kernels::kDepthwise.forward(p.shape, p.x.data(), p.w.data(), p.bias.data(), y.data());
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t j = 0; j < 7; ++j)
        EXPECT_EQ(std::isfinite(y(0, 0, i, j)), !(i >= 1 && i <= 3 && j >= 5)) << i << " " << j;
  });
}

}  // namespace
}  // namespace strata
