// The references where a value can be said beforehand: numbers that sources print, exact results, kinks.
#include <cmath>
#include <limits>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/dropout.hpp"
#include "strata/layers/reference/activations.hpp"
#include "strata/layers/reference/convolution.hpp"
#include "strata/layers/reference/dropout.hpp"
#include "strata/layers/reference/linear.hpp"
#include "strata/layers/reference/normalization.hpp"
#include "strata/layers/reference/pooling.hpp"
#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

using normalization::per_channel;
using normalization::per_group;
using normalization::Sets;
using normalization::Statistics;

Tensor<double> instance_norm(const Tensor<double>& x, const Tensor<double>& gamma,
                             const Tensor<double>& beta) {
  auto y = full<double>(x.shape(), NAN);
  const Sets planes = per_group(x.shape(), static_cast<Index>(x.shape()[1]));
  reference::normalize<double>(planes, x.data(), reference::statistics(planes, x.data()),
                               {gamma.data(), beta.data()}, 1e-5, y.data());
  return y;
}

// channel_wise_spatial_normalization of a course, printed to three digits.
TEST(ReferenceNormalization, GivesThePrintedNumbers) {
  EXPECT_LE(
      testing::max_error(instance_norm({{{{.497, -.138}, {.648, 1.523}}, {{-.234, -.234}, {1.579, .767}}},
                                        {{{-.469, .543}, {-.463, -.466}}, {{.242, -1.913}, {-1.725, -.562}}}},
                                       {1, 1}, {0, 0}),
                         {{{{-.229, -1.300}, {.026, 1.502}}, {{-.926, -.926}, {1.460, .392}}},
                          {{{-.585, 1.732}, {-.571, -.576}}, {{1.401, -1.050}, {-.836, .486}}}}),
      2e-3);
  EXPECT_LE(testing::max_error(
                instance_norm({{{{.497, -.138, .648}, {1.523, -.234, -.234}, {1.579, .767, -.469}},
                                {{.543, -.463, -.466}, {.242, -1.913, -1.725}, {-.562, -1.013, .314}}}},
                              {2, .5}, {1, -1}),
                {{{{1.164, -.595, 1.582}, {4.006, -.860, -.860}, {4.161, 1.913, -1.512}},
                  {{-.327, -.941, -.942}, {-.510, -1.826, -1.711}, {-1.001, -1.276, -.466}}}}),
            2e-3);
  EXPECT_LE(testing::max_error(instance_norm({{{{.257, -.908, -.379, -.535},
                                                {.858, -.413, .498, 2.010},
                                                {1.263, -.439, -.346, .455},
                                                {-1.669, -.862, .493, -.124}}}},
                                             {1.5}, {.5}),
                               {{{{.921, -1.064, -.161, -.428},
                                  {1.944, -.220, 1.331, 3.906},
                                  {2.633, -.265, -.107, 1.258},
                                  {-2.358, -.985, 1.322, .271}}}}),
            2e-3);
}

TEST(ReferenceNormalization, GivesThePrintedStatisticsOfChannels) {
  const Tensor<double> x{{{{1, 0}, {0, 0}}, {{0, 1}, {0, 0}}}, {{{0, 1}, {2, 3}}, {{4, 5}, {6, 7}}}};
  const Sets channels = per_channel(x.shape());
  Statistics statistics = reference::statistics(channels, x.data());
  EXPECT_EQ(statistics.mean, (std::vector<double>{0.875, 2.875}));
  EXPECT_EQ(statistics.variance, (std::vector<double>{1.109375, 7.609375}));
  for (double& variance : statistics.variance) variance *= reference::unbiased_correction(channels);
  EXPECT_NEAR(statistics.variance[0], 1.26785714, 5e-9);
  EXPECT_NEAR(statistics.variance[1], 8.69642857, 5e-9);
  auto y = full<double>(x.shape(), NAN);
  reference::normalize(channels, x.data(), statistics, {}, 1e-8, y.data());
  const double expected[] = {.1110, -.7771, -.7771, -.7771, -.9749, -.6358, -.9749, -.9749};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(y.data()[i], expected[i], 5e-5);
}

// A course's notebook: beta is the mean and gamma the standard deviation of each channel.
TEST(ReferenceNormalization, MakesBetaTheMeanAndGammaTheDeviation) {
  const auto x = Random(1).normal<double>({2, 3, 4, 5}, 10, 4);
  const Tensor<double> gamma{3, 4, 5}, beta{6, 7, 8};
  const Sets channels = per_channel(x.shape());
  auto y = full<double>(x.shape(), NAN);
  reference::normalize<double>(channels, x.data(), reference::statistics(channels, x.data()),
                               {gamma.data(), beta.data()}, 0, y.data());
  const Statistics of_y = reference::statistics(channels, y.data());
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(of_y.mean[c], beta(c), 1e-12);
    EXPECT_NEAR(std::sqrt(of_y.variance[c]), gamma(c), 1e-12);
  }
}

// Each element of x (N, C, L) is in one set, which its place alone tells.
TEST(ReferenceNormalization, SetsAreThoseOfTheFormulas) {
  const auto expect_sets = [](const Sets& sets, Index size, const auto& set_of, const auto& channel_of) {
    std::vector<int> visits(size);
    for (Index set = 0; set < sets.count; ++set) {
      Index elements = 0;
      reference::for_each_element(sets, set, [&](Index i, Index c) {
        ++visits.at(i);
        ++elements;
        EXPECT_EQ(set, set_of(i));
        EXPECT_EQ(c, channel_of(i));
      });
      EXPECT_EQ(elements, sets.elements());
    }
    EXPECT_EQ(visits, std::vector<int>(size, 1));
  };
  for (const Shape& x : {Shape{3, 6}, {2, 6, 5}, {3, 6, 2, 4}, {1, 6, 2, 1, 3}}) {
    const Index size = element_count(x), sample = size / static_cast<Index>(x[0]), length = sample / 6;
    const auto channel = [&](Index i) { return i / length % 6; };
    expect_sets(per_channel(x), size, channel, channel);
    for (const Index groups : {1, 2, 3, 6})
      expect_sets(
          per_group(x, groups), size, [&](Index i) { return i / (sample / groups); }, channel);
  }
}

// 1 / 3 is no double: a plain sum of it rounds.
TEST(ReferenceNormalization, ConstantSetsHaveTheirValueAsMean) {
  for (const double value : {1.0 / 3, -1e6 / 3, 0.1}) {
    const auto x = full<double>({7, 1, 11}, value);
    const Statistics statistics = reference::statistics(per_channel(x.shape()), x.data());
    EXPECT_EQ(statistics.mean[0], value);
    EXPECT_EQ(statistics.variance[0], 0);
  }
}

TEST(ReferenceNormalization, KeepsItsDigitsFarFromZero) {
  const auto x = Random(1).normal<float>({64, 1, 32}, 1e4, 1);
  auto deviations = Tensor<double>(xt::cast<double>(x) - 1e4);
  const Sets all = per_channel(x.shape());
  const Statistics near_zero = reference::statistics(all, deviations.data());
  const Statistics far = reference::statistics(all, x.data());
  EXPECT_NEAR(far.mean[0] - 1e4, near_zero.mean[0], 1e-11);
  EXPECT_NEAR(far.variance[0], near_zero.variance[0], 1e-11);
}

TEST(ReferenceNormalization, WorksInPlace) {
  const auto x = Random(1).normal<double>({2, 3, 4}), dy = Random(2).normal<double>({2, 3, 4});
  const Sets sets = per_channel(x.shape());
  const auto statistics = reference::statistics(sets, x.data());
  auto y = empty<double>(x.shape()), dx = y, y_in_place = x, dx_in_dy = dy, dx_in_x = x;
  reference::normalize(sets, x.data(), statistics, {}, 1e-5, y.data());
  reference::normalize(sets, y_in_place.data(), statistics, {}, 1e-5, y_in_place.data());
  EXPECT_EQ(y_in_place, y);
  const auto backward = [&](const double* from_x, const double* from_dy, double* to) {
    reference::normalize_backward<double>(sets, from_x, from_dy, statistics, {}, 1e-5, false, to, nullptr,
                                          nullptr);
  };
  backward(x.data(), dy.data(), dx.data());
  backward(x.data(), dx_in_dy.data(), dx_in_dy.data());
  backward(dx_in_x.data(), dy.data(), dx_in_x.data());
  EXPECT_EQ(dx_in_dy, dx);
  EXPECT_EQ(dx_in_x, dx);
}

TEST(ReferenceLinear, AddsUpInMoreThanFloat) {
  const Index count = 100'000;
  const auto x = full<float>({static_cast<std::size_t>(count)}, 0.1f), ones = full<float>(x.shape(), 1);
  const auto expected = static_cast<float>(static_cast<double>(count) * static_cast<double>(0.1f));
  float y = NAN, dx = NAN, dweight = NAN, dbias = NAN;
  reference::linear<float>(1, count, 1, x.data(), ones.data(), nullptr, &y);
  reference::linear_backward_data<float>(1, 1, count, x.data(), ones.data(), &dx);
  reference::linear_backward_parameters(count, 1, 1, ones.data(), x.data(), &dweight, &dbias);
  EXPECT_EQ(y, expected);
  EXPECT_EQ(dx, expected);
  EXPECT_EQ(dweight, expected);
  EXPECT_EQ(dbias, expected);
  float sum = NAN;
  reference::sum_per_channel(count, 1, 1, x.data(), &sum);
  EXPECT_EQ(sum, expected);
}

TEST(ReferenceConvolution, RectifiesIfAsked) {
  kernels::ConvolutionShape shape{1, 1, {1, 3}, 1, {1, 3}, 1, 1, 0, 1, 1, false};
  const float x[] = {-1, 2, NAN}, weight = 3, bias = 0.5f;
  float y[3];
  reference::convolve(shape, x, &weight, &bias, y);
  EXPECT_EQ(y[0], -2.5f);
  shape.rectify = true;
  reference::convolve(shape, x, &weight, &bias, y);
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], 6.5f);
  EXPECT_TRUE(std::isnan(y[2]));
}

TEST(ReferencePooling, TakesTheFirstOfEqualsAndNaNBeforeAll) {
  const double nan = NAN, inf = INFINITY;
  const struct {
    double x[4];
    Index place;
  } cases[] = {
      {{1, 2, 2, 0}, 1},      {{3, 3, 3, 3}, 0},   {{0, -0.0, 0, -0.0}, 0}, {{-inf, -inf, -inf, -inf}, 0},
      {{-inf, 1, inf, 2}, 2}, {{nan, 1, 2, 3}, 0}, {{1, nan, inf, nan}, 1}, {{5, 1, 2, nan}, 3}};
  for (const auto& c : cases) {
    const auto shape = reference::PoolingShape::of({1, 1, 2, 2}, 2, std::nullopt, 0);
    double y = 7, dx[4], dy = 2;
    Index place = -1;
    reference::max_pool(shape, c.x, &y, &place);
    EXPECT_EQ(place, c.place);
    EXPECT_TRUE(y == c.x[c.place] || (std::isnan(y) && std::isnan(c.x[c.place])));
    reference::max_pool_backward(shape, &dy, &place, dx);
    for (Index i = 0; i < 4; ++i) EXPECT_EQ(dx[i], i == c.place ? 2 : 0);
  }
}

TEST(ReferenceActivations, AreRightAtTheEdges) {
  const double inf = INFINITY;
  const double x[] = {-inf, -2, -0.0, 0, 3, inf, NAN}, dy[] = {1, 2, 3, 4, 5, 6, 7};
  double y[7], dx[7];
  std::uint8_t positive = 0xff;
  reference::leaky_relu(7, 0.5, x, y, &positive);
  reference::leaky_relu_backward(7, 0.5, &positive, dy, dx);
  EXPECT_EQ(positive, 0b1110000);  // NaN goes through
  const double leaky[] = {-inf, -1, 0, 0, 3, inf}, leaky_dx[] = {0.5, 1, 1.5, 2, 5, 6, 7};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(y[i], leaky[i]);
  EXPECT_TRUE(std::isnan(y[6]));
  for (int i = 0; i < 7; ++i) EXPECT_EQ(dx[i], leaky_dx[i]);
  reference::leaky_relu(7, 0.0, x, y, &positive);
  reference::leaky_relu_backward(7, 0.0, &positive, dy, dx);
  const double rectified[] = {0, 0, 0, 0, 3, inf}, rectified_dx[] = {0, 0, 0, 0, 5, 6, 7};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(y[i], rectified[i]);
  EXPECT_TRUE(std::isnan(y[6]));
  for (int i = 0; i < 7; ++i) EXPECT_EQ(dx[i], rectified_dx[i]);

  const double far[] = {-inf, -800, 0, 800, inf, NAN};
  reference::sigmoid(6, far, y);
  const double squashed[] = {0, 0, 0.5, 1, 1};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(y[i], squashed[i]);
  EXPECT_TRUE(std::isnan(y[5]));
  const double small = -740;  // where exp(740) is infinite and the result is not 0
  reference::sigmoid(1, &small, y);
  EXPECT_GT(y[0], 0);
}

TEST(ReferenceDropout, DrawsTheKernelsMask) {
  testing::for_each_instruction_set([] {
    for (const double p : {0.0, 0.001, 0.3, 0.5, 0.999, 0.99999999999})
      for (const Index units : {1, 7, 8, 9, 63, 64, 513, 2000}) {
        const Index bytes = reference::mask_bytes(units);
        std::vector<std::uint8_t> kernel(bytes, 0xa5), plain(bytes, 0x5a);
        const std::uint64_t seed = combine_seeds(3, static_cast<std::uint64_t>(units)), step = 0xfedcba987;
        kernels::table<kernels::DropoutMask>().draw(seed, step, reference::dropout_threshold(p), 0, bytes,
                                                    kernel.data());
        reference::draw_dropout_mask(seed, step, p, units, plain.data());
        EXPECT_EQ(plain, kernel) << p << ", " << units;
      }
  });
}

TEST(ReferenceDropout, KeepsOrDropsUnits) {
  const std::uint8_t kept = 0b101;
  const float x[] = {1, 2, 3, 4, 5, NAN, 7, 8, 9};
  float y[9];
  reference::dropout(9, 3, 0.75, &kept, x, y);
  const float expected[] = {4, 8, 12, 0, 0, 0, 28, 32, 36};
  for (int i = 0; i < 9; ++i) EXPECT_EQ(y[i], expected[i]);
}

}  // namespace
}  // namespace strata
