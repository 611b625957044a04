#include <gtest/gtest.h>

#include "strata/layers/kernels/convolution.hpp"
#include "strata/layers/kernels/winograd_convolution.hpp"
#include "tests/layers/reference_conv.hpp"

namespace strata {
namespace {

using namespace strata::testing;

constexpr InstructionSet kSets[] = {InstructionSet::generic, InstructionSet::avx2, InstructionSet::avx512};

class RestoreInstructionSet {
 public:
  ~RestoreInstructionSet() { set_instruction_set(before_); }

 private:
  InstructionSet before_ = instruction_set();
};

struct Problem {
  ConvCase c;
  kernels::ConvolutionShape shape;
  Tensor<float> x, w, bias, dy;
  ConvResult expected;
};

Problem make_problem(const ConvCase& c, Random& random) {
  const Size2D out(c.size.h + 2 * c.padding.h - 2, c.size.w + 2 * c.padding.w - 2);
  Problem p{.c = c,
            .shape = {c.batch, c.in_channels, c.size, c.out_channels, out, c.kernel, 1, c.padding, 1, 1, true},
            .x = random.normal<float>(shape4(c.batch, c.in_channels, c.size.h, c.size.w)),
            .w = random.normal<float>(shape4(c.out_channels, c.in_channels, 3, 3)),
            .bias = random.normal<float>({static_cast<std::size_t>(c.out_channels)}),
            .dy = random.normal<float>(shape4(c.batch, c.out_channels, out.h, out.w)),
            .expected = {}};
  p.expected = reference_conv<false>(c, p.x, p.w, &p.bias, p.dy);
  return p;
}

ConvOutputs<float> run_winograd(const Problem& p) {
  const float nan = std::nanf("");
  ConvOutputs<float> r{full<float>(p.dy.shape(), nan), full<float>(p.x.shape(), nan),
                       full<float>(p.w.shape(), nan), {}};
  kernels::winograd_convolve(p.shape, p.x.data(), p.w.data(), p.bias.data(), r.y.data());
  kernels::winograd_convolve_backward_data(p.shape, p.dy.data(), p.w.data(), nullptr, r.dx.data());
  kernels::winograd_convolve_backward_weights(p.shape, p.x.data(), p.dy.data(), r.dw.data());
  return r;
}

void expect_near(const ConvOutputs<float>& ours, const ConvResult& expected, double tolerance) {
  EXPECT_LE(max_error(ours.y, expected.y), tolerance);
  EXPECT_LE(max_error(ours.dx, expected.dx), tolerance);
  EXPECT_LE(max_error(ours.dw, expected.dw), tolerance);
}

// Tiny images, sizes that are not multiples of 4, odd channel counts, every padding from 0 to 2.
TEST(Winograd, EqualsThePlainLoopsOnEveryInstructionSet) {
  const RestoreInstructionSet restore;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const auto pick = [&](std::uint64_t low, std::uint64_t high) {
      return static_cast<Index>(low + random.below(high - low + 1));
    };
    const std::uint64_t largest = seed % 3 == 0 ? 5 : 14;
    ConvCase c{.batch = pick(1, 5),
               .in_channels = pick(1, 37),
               .out_channels = pick(1, 37),
               .size = {pick(1, largest), pick(1, largest)},
               .kernel = 3,
               .padding = {pick(0, 2), pick(0, 2)}};
    c.size.h = std::max(c.size.h, 3 - 2 * c.padding.h);
    c.size.w = std::max(c.size.w, 3 - 2 * c.padding.w);
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    const Problem problem = make_problem(c, random);
    for (const InstructionSet set : kSets) {
      if (!is_available(set)) continue;
      SCOPED_TRACE(to_string(set));
      set_instruction_set(set);
      expect_near(run_winograd(problem), problem.expected, 1e-5);
    }
  }
}

// Images that are cut into several blocks, blocks of several images, and a last block that is not full.
TEST(Winograd, EqualsThePlainLoopsForLargerShapes) {
  const ConvCase cases[] = {
      {.batch = 2, .in_channels = 24, .out_channels = 40, .size = {45, 39}, .kernel = 3, .padding = 1},
      {.batch = 37, .in_channels = 48, .out_channels = 16, .size = {7, 6}, .kernel = 3, .padding = 1},
      {.batch = 1, .in_channels = 20, .out_channels = 20, .size = {3, 301}, .kernel = 3, .padding = {0, 2}},
      {.batch = 11, .in_channels = 130, .out_channels = 100, .size = {9, 12}, .kernel = 3, .padding = 0},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(11);
    const Problem problem = make_problem(c, random);
    expect_near(run_winograd(problem), problem.expected, 1e-5);
  }
}

// Relative l2 errors on normal data: what the choice of interpolation points is for. With the usual points
// 0, +-1, +-2 each of these fails.
TEST(Winograd, IsAccurate) {
  const RestoreInstructionSet restore;
  Random random(1);
  const Problem problem = make_problem(
      {.batch = 8, .in_channels = 64, .out_channels = 64, .size = 16, .kernel = 3, .padding = 1}, random);
  for (const InstructionSet set : kSets) {
    if (!is_available(set)) continue;
    SCOPED_TRACE(to_string(set));
    set_instruction_set(set);
    const auto ours = run_winograd(problem);
    const double y = l2_error(ours.y, problem.expected.y), dx = l2_error(ours.dx, problem.expected.dx),
                 dw = l2_error(ours.dw, problem.expected.dw);
    std::printf("%s: l2 error forward %.2g, backward-data %.2g, backward-weights %.2g\n", to_string(set).data(), y, dx, dw);
    EXPECT_LE(y, 9e-7);
    EXPECT_LE(dx, 9e-7);
    EXPECT_LE(dw, 1.5e-6);
  }
}

TEST(Winograd, GivesTheSameBitsForAnyNumberOfThreads) {
  const int before = num_threads();
  const ConvCase cases[] = {
      {.batch = 33, .in_channels = 16, .out_channels = 32, .size = {14, 15}, .kernel = 3, .padding = 1},
      {.batch = 40, .in_channels = 100, .out_channels = 130, .size = {8, 7}, .kernel = 3, .padding = 1},
      {.batch = 1, .in_channels = 9, .out_channels = 17, .size = {70, 50}, .kernel = 3, .padding = {1, 2}}};
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(2);
    const Problem problem = make_problem(c, random);
    set_num_threads(1);
    const auto one = run_winograd(problem);
    for (const int threads : {2, 3, 5}) {
      set_num_threads(threads);
      const auto many = run_winograd(problem);
      EXPECT_TRUE(same_bits(many.y, one.y)) << threads << " threads";
      EXPECT_TRUE(same_bits(many.dx, one.dx)) << threads << " threads";
      EXPECT_TRUE(same_bits(many.dw, one.dw)) << threads << " threads";
    }
  }
  set_num_threads(before);
}

}  // namespace
}  // namespace strata
