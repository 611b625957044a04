// With winograd = false a value reaches the windows that see it and no others, whatever computes the layer.
#include "tests/framework/kernels_only.hpp"
#include "tests/layers/fusion/fusion_checks.hpp"

namespace strata {
namespace {

using namespace strata::testing;

using WithoutWinograd = FusionTest;

constexpr std::size_t kSize = 12, kSpoiled = 4;  // of an image; a row and a column

Tensor<float> image_with_nan(std::size_t channels) {
  auto x = Random(1).normal<float>({4, channels, kSize, kSize});
  x(1, 3, kSpoiled, kSpoiled) = NAN;
  return x;
}

/// Of the second image, the pixels that are NaN; `reach` is how far from the spoiled one they should be.
void expect_nan_within(const Tensor<float>& y, std::size_t reach) {
  for (std::size_t n = 0; n < y.shape()[0]; ++n)
    for (std::size_t c = 0; c < y.shape()[1]; ++c)
      for (std::size_t i = 0; i < kSize; ++i)
        for (std::size_t j = 0; j < kSize; ++j) {
          const bool sees = n == 1 && i + reach >= kSpoiled && i <= kSpoiled + reach &&
                            j + reach >= kSpoiled && j <= kSpoiled + reach;
          ASSERT_EQ(std::isnan(y(n, c, i, j)), sees) << n << ' ' << c << ' ' << i << ' ' << j;
        }
}

std::size_t count_nan(const Tensor<float>& y) {
  return static_cast<std::size_t>(std::count_if(y.begin(), y.end(), [](float v) { return std::isnan(v); }));
}

template <class Conv>
Conv same_size(Index kernel, bool winograd) {
  return Conv(16, 16, kernel, {.padding = kernel / 2, .winograd = winograd});
}

template <class Conv>
void expect_exact_reach(const Conv& layer, std::size_t reach) {
  Conv copy = layer;
  const auto x = image_with_nan(16);
  expect_nan_within(copy.infer(x), reach);
  expect_nan_within(copy.forward(x), reach);
  copy.forward(Random(2).normal<float>(x.shape()));
  expect_nan_within(copy.backward(x), reach);
}

template <class Conv>
void expect_honored_and_kept() {
  for (const Index kernel : {3, 5}) {
    SCOPED_TRACE(kernel);
    const auto reach = static_cast<std::size_t>(kernel / 2);
    auto layer = same_size<Conv>(kernel, false);
    EXPECT_THAT(layer.options(), ::testing::HasSubstr("no Winograd"));
    expect_exact_reach(layer, reach);
    expect_exact_reach(dynamic_cast<const Conv&>(*layer.clone()), reach);
    auto assigned = same_size<Conv>(kernel, true);
    // What the rest of this file would not see if Winograd's tiles were as exact.
    EXPECT_GT(count_nan(assigned.infer(image_with_nan(16))), count_nan(layer.infer(image_with_nan(16))));
    assigned = layer;
    expect_exact_reach(assigned, reach);
    const Conv moved = std::move(assigned);
    expect_exact_reach(moved, reach);
  }
}

TEST_F(WithoutWinograd, ALayerAndItsCopiesReachNoFurther) {
  for_each_instruction_set([] {
    expect_honored_and_kept<Conv2D<float>>();
    expect_honored_and_kept<ConvTranspose2D<float>>();
  });
}

// Two convolutions hand each other pixels; an Inference folds the norm, keeps filters and rectifies.
TEST_F(WithoutWinograd, ANetworkReachesNoFurther) {
  const auto convolution = [] {
    return Conv2D<float>{16, 16, 3, {.padding = 1, .bias = false, .winograd = false}};
  };
  Sequential<float> net{convolution(), SpatialBatchNorm<float>{16}, ReLU<float>{},
                        convolution(), SpatialBatchNorm<float>{16}, ReLU<float>{}};
  net.forward(Random(3).normal<float>({4, 16, kSize, kSize}));
  net.eval();
  const auto x = image_with_nan(16);
  for (const bool fuse : {true, false}) {
    set_fusion(fuse);
    for_each_instruction_set([&] {
      const Sequential<float> copy = net;
      expect_nan_within(Inference<float>(copy)(x), 2);
      expect_nan_within(copy.infer(x), 2);
      Sequential<float> trained = net;
      expect_nan_within(trained.forward(x), 2);
    });
  }
}

TEST_F(WithoutWinograd, ABlockWithASumReachesNoFurther) {
  const auto convolution = [] { return Conv2D<float>{16, 16, 3, {.padding = 1, .winograd = false}}; };
  Graph<float> net;
  net.input("x")
      .add("a", convolution(), "x")
      .add("b", convolution(), "a")
      .join("sum", Add<float>{}, {"b", "x"});
  net.add("relu", ReLU<float>{}, "sum").output("relu");
  const auto x = image_with_nan(16);
  for_each_instruction_set([&] {
    set_fusion(true);
    const Graph<float> copy = net;
    expect_nan_within(Inference<float>(copy)(x), 2);
    Graph<float> trained = net;
    expect_nan_within(trained.forward(x), 2);
  });
}

}  // namespace
}  // namespace strata
