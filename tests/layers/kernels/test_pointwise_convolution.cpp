#include <gtest/gtest.h>

#include "tests/layers/kernels/convolution_problem.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using namespace strata::testing;

// Images smaller than a vector, of which a panel holds many, and larger than a panel; channels that do not
// fill vectors; groups.
TEST(PointwiseConvolution, EqualsThePlainLoopsOnEveryInstructionSet) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    const Index groups = seed % 3 == 0 ? pick(random, 2, 4) : 1;
    const ConvCase c{.batch = pick(random, 1, 9),
                     .in_channels = groups * pick(random, 1, seed % 4 == 0 ? 70 : 20),
                     .out_channels = groups * pick(random, 1, seed % 5 == 0 ? 70 : 20),
                     .size = pick_size(random, 1, seed % 2 == 0 ? 6 : 18),
                     .kernel = 1,
                     .groups = groups};
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    const Problem problem = make_problem(c, random);
    for_each_instruction_set(
        [&] { expect_near(run(kernels::kPointwise, problem), problem.expected(), 1e-5); });
  }
}

// Many panels and partial sums; few positions, which are cut by channels.
TEST(PointwiseConvolution, EqualsThePlainLoopsForLargerShapes) {
  const ConvCase cases[] = {
      {.batch = 40, .in_channels = 48, .out_channels = 33, .size = {9, 7}, .kernel = 1},
      {.batch = 3, .in_channels = 37, .out_channels = 64, .size = {50, 41}, .kernel = 1},
      {.batch = 1, .in_channels = 300, .out_channels = 400, .size = 7, .kernel = 1},
      {.batch = 2, .in_channels = 128, .out_channels = 256, .size = 13, .kernel = 1, .groups = 2},
      {.batch = 70, .in_channels = 5, .out_channels = 3, .size = {33, 29}, .kernel = 1},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(11);
    const Problem problem = make_problem(c, random);
    expect_near(run(kernels::kPointwise, problem), problem.expected(), 1e-5);
    expect_same_bits_for_any_number_of_threads(kernels::kPointwise, problem);
  }
}

TEST(PointwiseConvolution, AddsTheBiasOfEachChannelAndRectifies) {
  const ConvCase c{
      .batch = 5, .in_channels = 6, .out_channels = 10, .size = {7, 9}, .kernel = 1, .groups = 2};
  Random random(4);
  Problem p = make_problem(c, random);
  const std::size_t in_plane = 7 * 9, channels = 6;
  const auto bias = random.normal<float>({channels});
  auto plain = p.dy, rectified = p.dy;
  auto gradient = p.x, shifted = p.x;
  for_each_instruction_set([&] {
    kernels::kPointwise.forward(p.shape, p.x.data(), p.w.data(), p.bias.data(), plain.data());
    p.shape.rectify = true;
    kernels::kPointwise.forward(p.shape, p.x.data(), p.w.data(), p.bias.data(), rectified.data());
    p.shape.rectify = false;
    for (std::size_t i = 0; i < plain.size(); ++i)
      EXPECT_EQ(rectified.data()[i], std::max(plain.data()[i], 0.0f));
    kernels::kPointwise.backward_data(p.shape, p.dy.data(), p.w.data(), nullptr, gradient.data());
    kernels::kPointwise.backward_data(p.shape, p.dy.data(), p.w.data(), bias.data(), shifted.data());
    for (std::size_t i = 0; i < gradient.size(); ++i)
      EXPECT_EQ(shifted.data()[i], gradient.data()[i] + bias.data()[i / in_plane % channels]);
  });
}

}  // namespace
}  // namespace strata
