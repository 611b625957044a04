#include <gtest/gtest.h>

#include "strata/layers/kernels/direct_convolution.hpp"
#include "strata/layers/kernels/winograd_convolution.hpp"
#include "tests/layers/convolution_problem.hpp"

namespace strata {
namespace {

using namespace strata::testing;

constexpr Algorithm kWinograd{packed_first<kernels::winograd_filters, kernels::winograd_convolve>,
                              kernels::winograd_convolve_backward_data,
                              kernels::winograd_convolve_backward_weights};

class Winograd : public ::testing::TestWithParam<Index> {
 protected:
  Index kernel() const { return GetParam(); }
  // Of the largest element, and of the l2 norm: 5x5 needs points that are further apart.
  double tolerance() const { return kernel() == 3 ? 1e-5 : 4e-5; }
  double l2_tolerance() const { return kernel() == 3 ? 9e-7 : 4e-6; }
};
INSTANTIATE_TEST_SUITE_P(, Winograd, ::testing::Values(3, 5));

// Tiny images, sizes that are not multiples of 4, odd channel counts, every padding.
TEST_P(Winograd, EqualsThePlainLoopsOnEveryInstructionSet) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const auto pick = [&](Index low, Index high) {
      return low + static_cast<Index>(random.below(static_cast<std::uint64_t>(high - low + 1)));
    };
    const Index largest = seed % 3 == 0 ? 5 : 14;
    ConvCase c{.batch = pick(1, 5),
               .in_channels = pick(1, 37),
               .out_channels = pick(1, 37),
               .size = {pick(1, largest), pick(1, largest)},
               .kernel = kernel(),
               .padding = {pick(0, kernel() - 1), pick(0, kernel() - 1)}};
    c.size.h = std::max(c.size.h, kernel() - 2 * c.padding.h);
    c.size.w = std::max(c.size.w, kernel() - 2 * c.padding.w);
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    const Problem problem = make_problem(c, random);
    for_each_instruction_set([&] { expect_near(run(kWinograd, problem), problem.expected, tolerance()); });
  }
}

// Images that are cut into several blocks, blocks of several images, and a last block that is not full.
TEST_P(Winograd, EqualsThePlainLoopsForLargerShapes) {
  const ConvCase cases[] = {
      {.batch = 2, .in_channels = 24, .out_channels = 40, .size = {45, 39}, .kernel = kernel(), .padding = 1},
      {.batch = 37, .in_channels = 48, .out_channels = 16, .size = {7, 6}, .kernel = kernel(), .padding = 1},
      {.batch = 1,
       .in_channels = 20,
       .out_channels = 20,
       .size = {5, 301},
       .kernel = kernel(),
       .padding = {0, 2}},
      {.batch = 11,
       .in_channels = 130,
       .out_channels = 100,
       .size = {9, 12},
       .kernel = kernel(),
       .padding = 0},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(11);
    const Problem problem = make_problem(c, random);
    expect_near(run(kWinograd, problem), problem.expected, tolerance());
  }
}

// Enough blocks of whole images for both gradients in one pass, in the memory of x; and shapes that have to
// take two.
TEST_P(Winograd, GivesBothGradientsAtOnce) {
  const Index same = kernel() / 2;
  const ConvCase cases[] = {
      {.batch = 67,
       .in_channels = 5,
       .out_channels = 19,
       .size = {13, 15},
       .kernel = kernel(),
       .padding = same},
      {.batch = 17,
       .in_channels = 17,
       .out_channels = 3,
       .size = {30, 29},
       .kernel = kernel(),
       .padding = same},
      {.batch = 130,
       .in_channels = 16,
       .out_channels = 16,
       .size = {7, 16},
       .kernel = kernel(),
       .padding = same},
      {.batch = 17,
       .in_channels = 4,
       .out_channels = 3,
       .size = {33, 70},
       .kernel = kernel(),
       .padding = same},
      {.batch = 67, .in_channels = 3, .out_channels = 4, .size = {14, 15}, .kernel = kernel(), .padding = 0},
  };
  const int before = num_threads();
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(3);
    const Problem problem = make_problem(c, random);
    for_each_instruction_set([&] {
      const auto apart = run(kWinograd, problem);
      for (const int threads : {1, 3}) {
        set_num_threads(threads);
        Tensor<float> dx = problem.x, dw = full<float>(problem.w.shape(), NAN);
        kernels::winograd_convolve_backward(problem.shape, dx.data(), problem.dy.data(), problem.w.data(),
                                            dw.data(), dx.data());
        EXPECT_LE(max_error(dx, problem.expected.dx), tolerance());
        EXPECT_LE(max_error(dw, problem.expected.dw), tolerance());
        EXPECT_TRUE(same_bits(dx, apart.dx));
        EXPECT_TRUE(same_bits(dw, apart.dw));
      }
      set_num_threads(before);
    });
  }
}

// Relative l2 errors on normal data: what the choice of interpolation points is for, and what giving up
// Winograd gains.
TEST_P(Winograd, IsAccurate) {
  Random random(1);
  const Problem problem = make_problem(
      {.batch = 8, .in_channels = 64, .out_channels = 64, .size = 16, .kernel = kernel(), .padding = 1},
      random);
  for_each_instruction_set([&] {
    const auto ours = run(kWinograd, problem);
    const double y = l2_error(ours.y, problem.expected.y), dx = l2_error(ours.dx, problem.expected.dx),
                 dw = l2_error(ours.dw, problem.expected.dw);
    EXPECT_LE(y, l2_tolerance());
    EXPECT_LE(dx, l2_tolerance());
    EXPECT_LE(dw, l2_tolerance());
  });
  const double plain_tolerance = kernel() == 3 ? 5e-7 : 8e-7;  // of sums of 576 and of 1,600 products
  const auto plain = run({packed_first<kernels::direct_filters, kernels::direct_convolve>,
                          kernels::direct_convolve_backward_data, kernels::direct_convolve_backward_weights},
                         problem);
  EXPECT_LE(l2_error(plain.y, problem.expected.y), plain_tolerance);
  EXPECT_LE(l2_error(plain.dx, problem.expected.dx), plain_tolerance);
  EXPECT_LE(l2_error(plain.dw, problem.expected.dw), plain_tolerance);
}

TEST_P(Winograd, GivesTheSameBitsForAnyNumberOfThreads) {
  const ConvCase cases[] = {
      {.batch = 9, .in_channels = 16, .out_channels = 32, .size = {14, 15}, .kernel = kernel(), .padding = 1},
      {.batch = 25, .in_channels = 70, .out_channels = 66, .size = {8, 7}, .kernel = kernel(), .padding = 1},
      {.batch = 1,
       .in_channels = 9,
       .out_channels = 17,
       .size = {70, 50},
       .kernel = kernel(),
       .padding = {1, 2}}};
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(2);
    expect_same_bits_for_any_number_of_threads(kWinograd, make_problem(c, random));
  }
}

}  // namespace
}  // namespace strata
