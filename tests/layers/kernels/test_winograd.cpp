#include <gtest/gtest.h>

#include "tests/layers/kernels/convolution_problem.hpp"
#include "tests/layers/kernels/image_layouts.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using namespace strata::testing;

using kernels::kDirect;
using kernels::kWinograd;

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
  for (std::uint64_t seed = 0; seed < some(300u); ++seed) {
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
    for_each_instruction_set([&] { expect_near(run(kWinograd, problem), problem.expected(), tolerance()); });
  }
}

// A single small image, or a few tiny ones: where the kernel is 3x3, in tiles of 2x2.
TEST_P(Winograd, EqualsThePlainLoopsForFewTiles) {
  int of_2x2 = 0;
  for (std::uint64_t seed = 0; seed < some(400u); ++seed) {
    Random random(seed);
    const bool single = random.below(3) > 0;
    const Index least = kernel() - 2, most = single ? 8 : 4;
    const ConvCase c{.batch = single ? 1 : pick(random, 2, 4),
                     .in_channels = pick(random, 1, 40),
                     .out_channels = pick(random, 1, 40),
                     .size = {pick(random, least, most), pick(random, least, most)},
                     .kernel = kernel(),
                     .padding = {pick(random, 1, kernel() / 2), pick(random, 1, kernel() / 2)}};
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    const Problem problem = make_problem(c, random);
    of_2x2 += kWinograd.tile(problem.shape) == 2;
    for_each_instruction_set([&] { expect_near(run(kWinograd, problem), problem.expected(), tolerance()); });
  }
  EXPECT_EQ(of_2x2, kernel() == 3 ? some(400) : 0);
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
      // A single block, whose channels are halved.
      {.batch = 1, .in_channels = 130, .out_channels = 100, .size = 8, .kernel = kernel(), .padding = 1},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c);
    Random random(11);
    const Problem problem = make_problem(c, random);
    expect_near(run(kWinograd, problem), problem.expected(), tolerance());
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
        kWinograd.backward(problem.shape, dx.data(), problem.dy.data(), problem.w.data(), dw.data(),
                           dx.data());
        EXPECT_LE(max_error(dx, problem.expected().dx), tolerance());
        EXPECT_LE(max_error(dw, problem.expected().dw), tolerance());
        EXPECT_TRUE(same_bits(dx, apart.dx));
        EXPECT_TRUE(same_bits(dw, apart.dw));
      }
      set_num_threads(before);
    });
  }
}

/// Images of a tensor as a source that makes them, in memory that it may be given.
kernels::ImageSource<float> made(const Tensor<float>& tensor, ImageLayout layout, float* memory = nullptr) {
  const auto size = static_cast<Index>(tensor.size() / tensor.shape()[0]);
  const auto row = static_cast<Index>(tensor.shape()[1] * tensor.shape()[3]);
  const auto make = [&tensor, layout, size, row](Index image, float* to, Index row_stride) {
    const float* from = tensor.data() + image * size;
    if (layout == ImageLayout::planes)
      std::copy_n(from, size, to);
    else
      for (Index i = 0; i < size / row; ++i) std::copy_n(from + i * row, row, to + i * row_stride);
  };
  return {make, layout, memory};
}

/// Counts how often it was told of each image, and copies the image as it is then.
struct Watcher {
  explicit Watcher(Tensor<float>& results)
      : watched(results), seen(full<float>(results.shape(), NAN)), times(results.shape()[0]) {}

  kernels::ImageSink<float> sink(ImageLayout layout) {
    const auto done = [this](Index first, Index count) {
      const auto size = static_cast<Index>(watched.size() / watched.shape()[0]);
      std::copy_n(watched.data() + first * size, count * size, seen.data() + first * size);
      for (Index n = first; n < first + count; ++n) ++times[static_cast<std::size_t>(n)];
    };
    return {watched.data(), layout, done};
  }
  void expect_all() const {
    EXPECT_THAT(times, ::testing::Each(1));
    EXPECT_TRUE(same_bits(seen, watched));
  }

  Tensor<float>& watched;
  Tensor<float> seen;
  std::vector<int> times;
};

// From images that are made, to one who is told of each, of either layout: the same as from and to tensors of
// planes. (But for the sign of zeros.)
TEST_P(Winograd, StreamsImages) {
  int streaming = 0;
  for (std::uint64_t seed = 0; seed < some(300u); ++seed) {
    Random random(seed);
    const auto pick = [&](Index low, Index high) {
      return low + static_cast<Index>(random.below(static_cast<std::uint64_t>(high - low + 1)));
    };
    const ConvCase c{.batch = pick(2, 40),
                     .in_channels = random.below(2) == 0 ? 16 * pick(1, 2) : pick(2, 20),
                     .out_channels = random.below(2) == 0 ? 16 * pick(1, 2) : pick(1, 20),
                     .size = {pick(1, 16), pick(1, 16)},
                     .kernel = kernel(),
                     .padding = kernel() / 2};
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    Problem p = make_problem(c, random);
    const auto x_layout = random_layout(c.in_channels, random),
               y_layout = random_layout(c.out_channels, random);
    p.shape.rectify = random.below(2) == 0;
    const auto x = in_layout(p.x, x_layout), dy = in_layout(p.dy, y_layout);
    for_each_instruction_set([&] {
      if (!kWinograd.abilities(p.shape).streams) return;
      ++streaming;
      const auto apart = run(kWinograd, p);
      auto y = full<float>(p.dy.shape(), NAN), dx = full<float>(p.x.shape(), NAN),
           dw = full<float>(p.w.shape(), NAN);
      Watcher watch_y(y), watch_dx(dx);
      const bool tensors = random.below(4) == 0;
      const auto x_source = tensors ? kernels::ImageSource<float>(x.data(), x_layout) : made(x, x_layout);
      kWinograd.forward(p.shape, x_source, kWinograd.filters(p.shape, p.w.data()).data(), p.bias.data(),
                        watch_y.sink(y_layout));
      EXPECT_EQ(as_planes(y, y_layout), apart.y);
      watch_y.expect_all();
      auto memory = full<float>(p.dy.shape(), NAN);
      const auto dy_source = tensors ? kernels::ImageSource<float>(dy.data(), y_layout)
                                     : made(dy, y_layout, random.below(2) == 0 ? memory.data() : nullptr);
      kWinograd.backward(p.shape, x_source, dy_source, p.w.data(), dw.data(), watch_dx.sink(x_layout));
      EXPECT_EQ(as_planes(dx, x_layout), apart.dx);
      EXPECT_EQ(dw, apart.dw);
      watch_dx.expect_all();
    });
    if (HasFailure()) return;
  }
  EXPECT_GT(streaming, some(300));
}

// Images that are cut into several blocks, and few of them, whose channels are: tensors of either layout. The
// same as of planes, but for the sign of zeros.
TEST_P(Winograd, TakesAndGivesPixels) {
  int cut = 0;
  for (std::uint64_t seed = 0; seed < some(150u); ++seed) {
    Random random(seed);
    ConvCase c{.batch = pick(random, 1, 3),
               .in_channels = 16 * pick(random, 1, 3),
               .out_channels = 16 * pick(random, 1, 5),
               .size = {pick(random, 5, 30), pick(random, 5, 30)},
               .kernel = kernel(),
               .padding = {pick(random, 0, kernel() - 1), pick(random, 0, kernel() - 1)}};
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    Problem p = make_problem(c, random);
    p.shape.rectify = random.below(2) == 0;
    const auto x_layout = random_layout(c.in_channels, random),
               y_layout = random_layout(c.out_channels, random);
    const auto x = in_layout(p.x, x_layout), dy = in_layout(p.dy, y_layout);
    for_each_instruction_set([&] {
      cut += !kWinograd.abilities(p.shape).streams;
      const auto expected = run(kWinograd, p);
      auto y = full<float>(p.dy.shape(), NAN), dx = full<float>(p.x.shape(), NAN),
           dw = full<float>(p.w.shape(), NAN);
      kWinograd.forward(p.shape, {x.data(), x_layout}, kWinograd.filters(p.shape, p.w.data()).data(),
                        p.bias.data(), {y.data(), y_layout});
      EXPECT_EQ(as_planes(y, y_layout), expected.y);
      kWinograd.backward(p.shape, {x.data(), x_layout}, {dy.data(), y_layout}, p.w.data(), dw.data(),
                         {dx.data(), x_layout});
      EXPECT_EQ(as_planes(dx, x_layout), expected.dx);
      EXPECT_EQ(dw, expected.dw);
    });
    if (HasFailure()) return;
  }
  EXPECT_GT(cut, some(100));
}

// y of pixels and another tensor in one, which may lie where y goes.
TEST_P(Winograd, AddsATensor) {
  int adding = 0;
  for (std::uint64_t seed = 0; seed < some(200u); ++seed) {
    Random random(seed);
    ConvCase c{.batch = pick(random, 1, 6),
               .in_channels = random.below(2) == 0 ? 16 * pick(random, 1, 3) : pick(random, 2, 20),
               .out_channels = 16 * pick(random, 1, 4),
               .size = {pick(random, 3, 20), pick(random, 3, 20)},
               .kernel = kernel(),
               .padding = {pick(random, 1, kernel() - 1), pick(random, 1, kernel() - 1)}};
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    Problem p = make_problem(c, random);
    p.shape.rectify = random.below(2) == 0;
    if (!kWinograd.abilities(p.shape).addend) continue;
    ++adding;
    const bool with_bias = random.below(3) != 0, in_place = random.below(2) == 0;
    const float* const bias = with_bias ? p.bias.data() : nullptr;
    const auto addend = random.normal<float>(p.dy.shape());
    auto expected = empty<double>(p.dy.shape());
    reference::convolve<double, double>(convolution_shape<false>(c, p.dy.shape()), widen(p.x).data(),
                                        widen(p.w).data(), with_bias ? widen(p.bias).data() : nullptr,
                                        expected.data());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      double& y = expected.data()[i];
      y += static_cast<double>(addend.data()[i]);
      if (p.shape.rectify) y = std::max(y, 0.0);
    }
    const auto x_layout = random_layout(c.in_channels, random);
    const auto x = in_layout(p.x, x_layout), lying = in_layout(addend, ImageLayout::pixels);
    for_each_instruction_set([&] {
      auto y = in_place ? lying : full<float>(addend.shape(), NAN);
      kWinograd.forward(p.shape, {x.data(), x_layout}, kWinograd.filters(p.shape, p.w.data()).data(), bias,
                        {y.data(), ImageLayout::pixels, nullptr, in_place ? y.data() : lying.data()});
      EXPECT_LE(max_error(as_planes(y, ImageLayout::pixels), expected, 1), tolerance());
    });
    if (HasFailure()) return;
  }
  EXPECT_GE(adding, some(90));
}

// Relative l2 errors on normal data: what the choice of interpolation points is for, and what giving up
// Winograd gains. The other sizes have tiles of 2 and 3 outputs at their edges.
TEST_P(Winograd, IsAccurate) {
  for (const Size2D size : {Size2D(16), Size2D(14, 15), Size2D(7, 6)}) {
    SCOPED_TRACE(to_string(size));
    Random random(1);
    const Problem problem = make_problem(
        {.batch = 8, .in_channels = 64, .out_channels = 64, .size = size, .kernel = kernel(), .padding = 1},
        random);
    for_each_instruction_set([&] {
      const auto ours = run(kWinograd, problem);
      EXPECT_LE(l2_error(ours.y, problem.expected().y), l2_tolerance());
      EXPECT_LE(l2_error(ours.dx, problem.expected().dx), l2_tolerance());
      EXPECT_LE(l2_error(ours.dw, problem.expected().dw), l2_tolerance());
    });
  }
  Random random(1);
  const Problem problem = make_problem(
      {.batch = 8, .in_channels = 64, .out_channels = 64, .size = 16, .kernel = kernel(), .padding = 1},
      random);
  const double plain_tolerance = kernel() == 3 ? 5e-7 : 8e-7;  // of sums of 576 and of 1,600 products
  const auto plain = run(kDirect, problem);
  EXPECT_LE(l2_error(plain.y, problem.expected().y), plain_tolerance);
  EXPECT_LE(l2_error(plain.dx, problem.expected().dx), plain_tolerance);
  EXPECT_LE(l2_error(plain.dw, problem.expected().dw), plain_tolerance);
}

// What Conv2D's header promises, wherever it is taken.
TEST_P(Winograd, KeepsTheBoundsOfTheHeader) {
  const auto expect_within = [](const Problem& problem, double bound) {
    for_each_instruction_set([&] {
      const auto ours = run(kWinograd, problem);
      EXPECT_LE(l2_error(ours.y, problem.expected().y), bound);
      EXPECT_LE(l2_error(ours.dx, problem.expected().dx), bound);
      EXPECT_LE(l2_error(ours.dw, problem.expected().dw), bound);
    });
  };
  for (std::uint64_t seed = 0; seed < some(60u); ++seed) {
    Random random(seed);
    const ConvCase c{.batch = pick(random, 1, 6),
                     .in_channels = pick(random, 2, 64),
                     .out_channels = pick(random, 2, 12),
                     .size = pick_size(random, kernel(), 12),
                     .kernel = kernel(),
                     .padding = pick_size(random, 0, kernel() - 1)};
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ": " << c);
    const Problem problem = make_problem(c, random);
    if (kWinograd.can_forward(problem.shape)) expect_within(problem, kernel() == 3 ? 1e-6 : 5e-6);
  }
  Random random(1);
  expect_within(make_problem({.batch = 3,
                              .in_channels = 512,
                              .out_channels = 4,
                              .size = 8,
                              .kernel = kernel(),
                              .padding = kernel() / 2},
                             random),
                kernel() == 3 ? 2.5e-6 : 1e-5);
}

// A tile that is mostly beside the image takes more multiplications than a plain sum, and rounds more.
TEST(WinogradChoice, LeavesImagesSmallerThanATileToPlainSums) {
  const auto chosen = [](Index kernel, Size2D size, Index padding, Index batch = 37) {
    return Conv2D<float>(16, 16, kernel, {.padding = padding}).algorithm(shape4(batch, 16, size.h, size.w));
  };
  EXPECT_EQ(chosen(5, 1, 2), "direct");
  EXPECT_EQ(chosen(5, 2, 2), "direct");
  EXPECT_EQ(chosen(5, {1, 9}, 2), "direct");
  EXPECT_EQ(chosen(5, 5, 0), "direct");
  EXPECT_EQ(chosen(3, 1, 1), "direct");
  EXPECT_EQ(chosen(3, 2, 1), "direct");
  EXPECT_EQ(chosen(5, 4, 2), "winograd 4x4");
  EXPECT_EQ(chosen(3, 4, 1), "winograd 4x4");
  EXPECT_EQ(chosen(3, 4, 1, 3), "winograd 2x2");

  Random random(1);
  const auto x = random.normal<float>({37, 16, 1, 1});
  Conv2D<float> layer(16, 16, 5, {.padding = 2});
  Conv2D<double> exact(16, 16, 5, {.padding = 2});
  exact.weight().value = widen(layer.weight().value);
  exact.bias().value = widen(layer.bias().value);
  for_each_instruction_set([&] { EXPECT_LE(l2_error(layer.infer(x), exact.infer(widen(x))), 2e-7); });
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
