// Batch normalization image by image, against plain loops.
#include <numeric>

#include "strata/layers/kernels/normalization/images.hpp"
#include "tests/layers/kernels/image_layouts.hpp"
#include "tests/layers/layer_checks.hpp"
#include "tests/layers/normalization_results.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata {
namespace {

using testing::max_error;
using testing::pick;
using testing::reference_norm;
using testing::same_bits;
using testing::widen;

/// Cuts the images into calls of random lengths, and calls body(first, count) for each in random order.
template <class Body>
void in_random_calls(Index images, Random& random, const Body& body) {
  std::vector<std::pair<Index, Index>> calls;
  for (Index first = 0; first < images;) {
    const Index count = pick(random, 1, std::min<Index>(images - first, 4));
    calls.emplace_back(first, count);
    first += count;
  }
  for (const Index i : random.permutation(static_cast<Index>(calls.size())))
    body(calls[static_cast<std::size_t>(i)].first, calls[static_cast<std::size_t>(i)].second);
}

template <class T>
class NormalizationByImages : public ::testing::Test {
 public:
  static constexpr double kTolerance = std::is_same_v<T, float> ? 4e-6 : 2e-12;

  static void check(const Shape& shape, bool affine, bool frozen, double mean, Random& random) {
    const Index size = static_cast<Index>(shape[1] * shape[2] * shape[3]);
    const auto images = static_cast<Index>(shape[0]);
    const auto x_planes = random.normal<T>(shape, mean, 2), dy_planes = random.normal<T>(shape, 0.3);
    auto gamma = full<T>({shape[1]}, T{1}), beta = full<T>({shape[1]}, T{0});
    if (affine) gamma = random.uniform<T>({shape[1]}, -2, 2), beta = random.normal<T>({shape[1]});
    normalization::Statistics given{std::vector<double>(shape[1], mean + 0.5),
                                    std::vector<double>(shape[1], 1.5)};
    const auto expected = reference_norm(
        normalization::per_channel(shape), widen(x_planes), widen(gamma), widen(beta), widen(dy_planes), 1e-5,
        frozen ? given.mean : std::vector<double>(), frozen ? given.variance : std::vector<double>());

    const normalization::Affine<T> parameters =
        affine ? normalization::Affine<T>{gamma.data(), beta.data()} : normalization::Affine<T>{};
    const auto layout = testing::random_layout(static_cast<Index>(shape[1]), random);
    const Tensor<T> x = testing::in_layout(x_planes, layout), dy = testing::in_layout(dy_planes, layout);
    normalization::ByImages<T> norm(shape, layout, parameters, 1e-5, /*rectify=*/false);
    const auto at = [&](const Tensor<T>& tensor, Index image) { return tensor.data() + image * size; };
    if (!frozen) {
      in_random_calls(images, random, [&](Index n, Index count) { norm.take(at(x, n), n, count); });
      given = norm.statistics();
    }
    norm.use(given);
    auto y = full<T>(shape, T(NAN)), dx = dy;
    in_random_calls(images, random,
                    [&](Index n, Index count) { norm.normalize(at(x, n), count, y.data() + n * size); });
    in_random_calls(images, random,
                    [&](Index n, Index count) { norm.take_gradient(at(dy, n), at(x, n), n, count); });
    auto dgamma = full<T>({shape[1]}, T(NAN)), dbeta = dgamma;
    norm.finish(frozen, affine ? dgamma.data() : nullptr, affine ? dbeta.data() : nullptr);
    in_random_calls(images, random, [&](Index n, Index count) {
      norm.gradient(at(dx, n), at(x, n), count, dx.data() + n * size);
    });
    expect_the_same_by_image(norm, layout, x, dy, y, dx);
    EXPECT_LT(max_error(testing::as_planes(y, layout), expected.y), kTolerance);
    EXPECT_LT(max_error(testing::as_planes(dx, layout), expected.dx, expected.dx_scale), kTolerance);
    if (!affine) return;
    EXPECT_LT(max_error(dgamma, expected.dgamma, 1), kTolerance);
    EXPECT_LT(max_error(dbeta, expected.dbeta, 1), kTolerance);
  }

 private:
  /// One image at a time, with a gap behind each row of pixels, which is left alone.
  static void expect_the_same_by_image(const normalization::ByImages<T>& norm, ImageLayout layout,
                                       const Tensor<T>& x, const Tensor<T>& dy, const Tensor<T>& y,
                                       const Tensor<T>& dx) {
    const bool pixels = layout == ImageLayout::pixels;
    const std::size_t size = x.size() / x.shape()[0], rows = pixels ? x.shape()[2] : 1, row = size / rows,
                      stride = pixels ? row + x.shape()[1] : row;
    for (std::size_t n = 0; n < x.shape()[0]; ++n) {
      auto y_image = full<T>({rows, stride}, T(7)), dx_image = y_image, y_expected = y_image,
           dx_expected = y_image;
      for (std::size_t r = 0; r < rows; ++r) {
        std::copy_n(y.data() + n * size + r * row, row, &y_expected(r, 0));
        std::copy_n(dx.data() + n * size + r * row, row, &dx_expected(r, 0));
      }
      norm.normalize_image(x.data() + n * size, y_image.data(), static_cast<Index>(stride));
      norm.gradient_image(dy.data() + n * size, x.data() + n * size, dx_image.data(),
                          static_cast<Index>(stride));
      EXPECT_TRUE(same_bits(y_image, y_expected));
      EXPECT_TRUE(same_bits(dx_image, dx_expected));
    }
  }
};

using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(NormalizationByImages, Types);

TYPED_TEST(NormalizationByImages, IsTheFormulaForRandomShapes) {
  testing::for_each_instruction_set([] {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
      Random random(seed);
      const Shape shape{
          static_cast<std::size_t>(pick(random, 2, 12)),
          static_cast<std::size_t>(random.below(2) == 0 ? 16 * pick(random, 1, 2) : pick(random, 1, 20)),
          static_cast<std::size_t>(pick(random, 1, 12)), static_cast<std::size_t>(pick(random, 2, 12))};
      SCOPED_TRACE("seed " + std::to_string(seed) + ": " + to_string(shape));
      TestFixture::check(shape, random.below(2) == 0, random.below(4) == 0, 0.5, random);
      if (::testing::Test::HasFailure()) return;
    }
  });
}

// PyTorch 1.13 is off by 8e-4 here.
TEST(NormalizationByImagesInFloat, KeepsItsDigitsFarFromZero) {
  testing::for_each_instruction_set([] {
    Random random(1);
    NormalizationByImages<float>::check({16, 4, 32, 32}, false, false, 1e4, random);
  });
}

// Each image has a brightness of its own, so that no value of one tells the mean of all.
TYPED_TEST(NormalizationByImages, TakesImagesFarApart) {
  const Shape shape{14, 3, 8, 8};
  auto x = Random(1).normal<TypeParam>(shape);
  const std::size_t size = x.size() / shape[0];
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] += TypeParam(1000) * TypeParam(i / size % 7);
  const auto expected = reference_norm(normalization::per_channel(shape), widen(x), full<double>({3}, 1.0),
                                       full<double>({3}, 0.0), full<double>(shape, 1.0), 1e-5);
  normalization::ByImages<TypeParam> norm(shape, ImageLayout::planes, {}, 1e-5, false);
  Random random(2);
  in_random_calls(14, random, [&](Index n, Index count) {
    norm.take(x.data() + n * static_cast<Index>(size), n, count);
  });
  const auto statistics = norm.statistics();
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(statistics.mean[c] / expected.mean[c], 1, 1e-6);
    EXPECT_NEAR(statistics.variance[c] / expected.variance[c], 1, 1e-6);
  }
}

}  // namespace
}  // namespace strata
