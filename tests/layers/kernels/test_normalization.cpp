// What all normalizing layers have in common, each against plain loops.
#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/processor_cache.hpp"
#include "strata/layers/kernels/normalization/vector_loops.hpp"
#include "tests/layers/layer_checks.hpp"
#include "tests/layers/normalization_results.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using testing::max_error;
using testing::per_slice;
using testing::pick;
using testing::reference_norm;
using testing::widen;

template <class T>
class Normalization : public ::testing::Test {
 public:
  static constexpr double kTolerance = std::is_same_v<T, float> ? 4e-6 : 2e-12;

  /// Forward and backward of the layer, with random parameters, for every instruction set.
  template <class L>
  static void expect_as_reference(L layer, const normalization::Sets& norm, const Shape& shape, bool affine,
                                  const std::vector<double>& mean = {},
                                  const std::vector<double>& variance = {}) {
    SCOPED_TRACE(layer.label() + " " + layer.options() + " of " + to_string(shape));
    Random random(combine_seeds(7, to_string(shape)));
    const auto x = random.normal<T>(shape, 0.5, 2), dy = random.normal<T>(shape, 0.3);
    auto gamma = full<T>({static_cast<std::size_t>(norm.channels)}, T{1});
    auto beta = full<T>({static_cast<std::size_t>(norm.channels)}, T{0});
    if (affine) {
      gamma = random.uniform<T>(gamma.shape(), -2, 2);
      beta = random.normal<T>(beta.shape());
      std::copy(gamma.begin(), gamma.end(), layer.weight().value.begin());
      std::copy(beta.begin(), beta.end(), layer.bias().value.begin());
    }
    auto expected =
        reference_norm(norm, widen(x), widen(gamma), widen(beta), widen(dy), 1e-5, mean, variance);
    if (affine) {
      expected.dgamma.reshape(layer.weight().value.shape());
      expected.dbeta.reshape(layer.weight().value.shape());
    }
    testing::for_each_instruction_set([&] {
      if (affine) {
        layer.weight().gradient.fill(std::nan(""));
        layer.bias().gradient.fill(std::nan(""));
      }
      EXPECT_LT(max_error(layer.forward(x), expected.y), kTolerance);
      EXPECT_LT(max_error(layer.backward(dy), expected.dx, expected.dx_scale), kTolerance);
      if (!affine) return;
      EXPECT_LT(max_error(layer.weight().gradient, expected.dgamma), kTolerance);
      EXPECT_LT(max_error(layer.bias().gradient, expected.dbeta), kTolerance);
    });
  }
};

using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Normalization, Types);

// Short and long runs, with and without what is left of a vector or a chunk; sets that are cut up, many small
// ones and a few large ones; images that are cut into pieces.
const std::vector<Shape> kImages{
    {2, 3, 4, 5},    {5, 1, 1, 7},   {1, 4, 3, 3},   {3, 2, 1, 2},    {7, 5, 4, 4},   {2, 17, 5, 5},
    {64, 3, 2, 2},   {3, 70, 1, 3},  {130, 2, 7, 9}, {4, 33, 16, 16}, {2, 2, 47, 61}, {1, 1, 200, 333},
    {40, 2, 31, 33}, {9, 8, 60, 64}, {3, 2, 32, 64}, {2, 3, 64, 64},  {3, 41, 31, 29}};

TYPED_TEST(Normalization, SpatialBatchNormIsItsFormula) {
  using T = TypeParam;
  for (const Shape& shape : kImages)
    for (const bool affine : {true, false}) {
      const auto channels = static_cast<Index>(shape[1]);
      SpatialBatchNorm<T> layer(channels, {.affine = affine});
      this->expect_as_reference(layer, normalization::per_channel(shape), shape, affine);
      // Frozen statistics.
      Random random(3);
      layer.running_mean() = random.normal<T>({shape[1]});
      layer.running_var() = random.uniform<T>({shape[1]}, 0.5, 2);
      layer.eval();
      this->expect_as_reference(layer, normalization::per_channel(shape), shape, affine,
                                {layer.running_mean().begin(), layer.running_mean().end()},
                                {layer.running_var().begin(), layer.running_var().end()});
    }
}

/// Has loops be cut for a second-level cache of this size, as long as it lives.
class L2Cache {
 public:
  explicit L2Cache(Index bytes) { set_l2_cache_bytes(bytes); }
  ~L2Cache() { set_l2_cache_bytes(before_); }
  L2Cache(const L2Cache&) = delete;
  L2Cache& operator=(const L2Cache&) = delete;

 private:
  const Index before_ = l2_cache_bytes();
};

// Where 65,536 elements fit, some of these shapes' channels are gathered from all images, one or several at a
// time; else none are.
TYPED_TEST(Normalization, SpatialBatchNormIsItsFormulaForAnyCache) {
  using T = TypeParam;
  for (const Index cache : {Index{0}, static_cast<Index>(sizeof(T)) * (Index{1} << 19)})
    for (const Shape& shape : {Shape{64, 16, 32, 32}, Shape{64, 16, 31, 33}, Shape{50, 140, 11, 13},
                               Shape{50, 140, 12, 12}, Shape{7, 17, 97, 95}}) {
      const L2Cache guard(cache);
      this->expect_as_reference(SpatialBatchNorm<T>(static_cast<Index>(shape[1]), {}),
                                normalization::per_channel(shape), shape, /*affine=*/true);
    }
}

TYPED_TEST(Normalization, HasTheSameBitsForAnyCache) {
  using T = TypeParam;
  for (const Shape& shape : {Shape{64, 16, 32, 32}, Shape{50, 140, 11, 13}, Shape{50, 140, 12, 12},
                             Shape{7, 17, 97, 95}, Shape{65, 37, 18, 31}, Shape{65, 37, 18, 32}}) {
    SCOPED_TRACE(to_string(shape));
    Random random(5);
    const auto x = random.normal<T>(shape, 0.5, 2), dy = random.normal<T>(shape);
    SpatialBatchNorm<T> layer(static_cast<Index>(shape[1]));
    layer.weight().value = random.uniform<T>({shape[1]}, -2, 2);
    testing::for_each_instruction_set([&] {
      struct Results {
        Tensor<T> y, dx, dgamma, dbeta;
      };
      const auto run = [&](Index cache) {
        const L2Cache guard(cache);
        auto y = layer.forward(x), dx = layer.backward(dy);
        return Results{y, dx, layer.weight().gradient, layer.bias().gradient};
      };
      const Results in_order = run(0), gathered = run(static_cast<Index>(sizeof(T)) * (Index{1} << 19));
      EXPECT_EQ(gathered.y, in_order.y);
      EXPECT_EQ(gathered.dx, in_order.dx);
      EXPECT_EQ(gathered.dgamma, in_order.dgamma);
      EXPECT_EQ(gathered.dbeta, in_order.dbeta);
    });
  }
}

// A pass over one block and the sums of another, at once, are what they are one after the other.
TYPED_TEST(Normalization, AGradientBesideSumsIsBoth) {
  using T = TypeParam;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Index images = pick(random, 1, 9), channels = pick(random, 1, 5), length = 16 * pick(random, 1, 90);
    const kernels::PlaneBlock block{images, channels, length, channels * length + pick(random, 0, 40),
                                    /*together=*/pick(random, 1, 9)};
    const auto room = static_cast<std::size_t>(block.images * block.stride);
    const Tensor<T> x[] = {random.normal<T>({room}), random.normal<T>({room})},
                    dy[] = {random.normal<T>({room}), random.normal<T>({room})},
                    factors = random.normal<T>({2, 5, static_cast<std::size_t>(channels)});
    const bool rectify = random.below(2) == 0, in_place = random.below(2) == 0;
    const auto coefficients = [&](std::size_t i) {
      return kernels::Coefficients<T>{&factors(i, 0, 0), &factors(i, 1, 0), &factors(i, 2, 0),
                                      &factors(i, 3, 0), &factors(i, 4, 0), rectify};
    };
    testing::for_each_instruction_set([&] {
      const auto& kernel = kernels::table<kernels::Normalization<T>>();
      const std::vector<double> nothing(static_cast<std::size_t>(channels));
      auto sum_g = nothing, sum_g_x = nothing, other_g = nothing, other_g_x = nothing;
      Tensor<T> dx = dy[0], other_dx = dy[0], given = dy[0];
      kernel.gradient(dy[0].data(), x[0].data(), dx.data(), block, coefficients(0));
      kernel.gradient_sums(dy[1].data(), x[1].data(), block, coefficients(1), sum_g.data(), sum_g_x.data());
      kernel.gradient_beside_sums({in_place ? other_dx.data() : given.data(), x[0].data(), coefficients(0)},
                                  other_dx.data(), {dy[1].data(), x[1].data(), coefficients(1)}, block,
                                  other_g.data(), other_g_x.data());
      EXPECT_EQ(other_dx, dx);
      EXPECT_EQ(other_g, sum_g);
      EXPECT_EQ(other_g_x, sum_g_x);
    });
    if (::testing::Test::HasFailure()) return;
  }
}

TYPED_TEST(Normalization, BatchNorm1DIsItsFormula) {
  for (const Shape& shape : {Shape{4, 3},
                             {2, 1},
                             {3, 130},
                             {200, 65},
                             {1000, 2},
                             {70, 600},
                             {3, 2, 4},
                             {1, 5, 9},
                             {6, 7, 33},
                             {2, 3, 5000},
                             {40000, 1}})
    for (const bool affine : {true, false})
      this->expect_as_reference(BatchNorm1D<TypeParam>(static_cast<Index>(shape[1]), {.affine = affine}),
                                normalization::per_channel(shape), shape, affine);
}

TYPED_TEST(Normalization, InstanceNorm2DIsItsFormula) {
  using T = TypeParam;
  for (const Shape& shape : kImages)
    for (const bool affine : {true, false}) {
      const auto channels = static_cast<Index>(shape[1]);
      this->expect_as_reference(InstanceNorm2D<T>(channels, {.affine = affine}),
                                normalization::per_group(shape, channels), shape, affine);
    }
}

TYPED_TEST(Normalization, GroupNormIsItsFormula) {
  for (const Shape& shape : {Shape{2, 6},
                             {3, 6, 5},
                             {2, 6, 4, 4},
                             {1, 6, 7, 9},
                             {5, 12, 1, 2},
                             {2, 6, 61, 67},
                             {3, 6, 160, 130},
                             {2, 6, 2, 3, 4},
                             {70, 18, 3}})
    for (const Index groups : {1, 2, 3, 6})
      for (const bool affine : {true, false})
        this->expect_as_reference(
            GroupNorm<TypeParam>(groups, static_cast<Index>(shape[1]), {.affine = affine}),
            normalization::per_group(shape, groups), shape, affine);
}

TYPED_TEST(Normalization, LayerNormIsItsFormula) {
  const Shape shapes[] = {{4, 3}, {3, 5, 7}, {2, 3, 4, 5}, {300, 40}, {5, 4097}, {1, 20}, {2, 60000}};
  for (const Shape& shape : shapes)
    for (std::size_t axes = 1; axes < shape.size(); ++axes)
      for (const bool affine : {true, false}) {
        const Shape normalized(shape.end() - static_cast<Index>(axes), shape.end());
        this->expect_as_reference(LayerNorm<TypeParam>(normalized, {.affine = affine}),
                                  per_slice(shape, element_count(normalized)), shape, affine);
      }
}

// Rows of a few vectors and of what is left of one.
TYPED_TEST(Normalization, LayerNormOfShortRowsIsItsFormula) {
  Random random(13);
  for (int round = 0; round < 300; ++round) {
    const Shape shape{static_cast<std::size_t>(1 + random.below(5)),
                      static_cast<std::size_t>(1 + random.below(80))};
    this->expect_as_reference(LayerNorm<TypeParam>({shape[1]}),
                              per_slice(shape, static_cast<Index>(shape[1])), shape,
                              /*affine=*/true);
  }
}

// Sets of one run each, around the length from which they go by planes, around whole vectors and chunks, and
// a few or many of them.
TYPED_TEST(Normalization, SingleRunsAreTheirFormula) {
  using T = TypeParam;
  Random random(11);
  const auto between = [&](std::uint64_t least, std::uint64_t most) {
    return static_cast<std::size_t>(least + random.below(most - least + 1));
  };
  for (int round = 0; round < 300; ++round) {
    const std::size_t lengths[] = {between(250, 270), between(271, 1100), between(1101, 2200)};
    const Shape shape{between(1, 4), between(3, 9), 1, lengths[random.below(3)]};
    const auto channels = static_cast<Index>(shape[1]);
    const bool affine = random.below(2) == 0;
    this->expect_as_reference(InstanceNorm2D<T>(channels, {.affine = affine}),
                              normalization::per_group(shape, channels), shape, affine);
    const Shape single{1, shape[1], 1, shape[3]};
    this->expect_as_reference(SpatialBatchNorm<T>(channels, {.affine = affine}),
                              normalization::per_channel(single), single, affine);
  }
}

// Whatever is missing, samples, channels or pixels, and in both modes. A single value is enough for
// evaluation.
TYPED_TEST(Normalization, RefusesTheEmptyAndTakesASingleValue) {
  using T = TypeParam;
  const auto check = [](Layer<T>&& layer, const std::vector<Shape>& empty, const Shape& single) {
    for (int mode = 0; mode < 2; ++mode, layer.eval())
      for (const Shape& shape : empty)
        EXPECT_THAT([&] { layer.output_shape(shape); },
                    ::testing::ThrowsMessage<ShapeError>(::testing::AllOf(
                        ::testing::HasSubstr("expected ("), ::testing::HasSubstr(to_string(shape)))))
            << layer.type();
    EXPECT_EQ(layer.output_shape(single), single) << layer.type();
    EXPECT_EQ(layer.infer(full<T>(single, T{0})).shape(), single) << layer.type();
  };
  const std::vector<Shape> images{{0, 1, 2, 2}, {2, 0, 2, 2}, {2, 1, 0, 2}, {2, 1, 2, 0}};
  check(SpatialBatchNorm<T>(1), images, {1, 1, 1, 1});
  check(InstanceNorm2D<T>(1, {.track_running_stats = true}), images, {1, 1, 1, 1});
  check(GroupNorm<T>(1, 1), images, {1, 1, 1, 1});
  check(BatchNorm1D<T>(1), {{0, 1}, {2, 0}, {0, 1, 3}, {2, 1, 0}}, {1, 1});
  check(LayerNorm<T>(Shape{1}), {{0, 1}, {2, 0}, {0, 2, 1}, {2, 0, 1}}, {1, 1});
}

}  // namespace
}  // namespace strata
