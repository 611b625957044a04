#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/strata.hpp"

namespace strata {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr Index kHeight = 6, kWidth = 8;
const Shape kShape{2, kHeight, kWidth};

// No value is 0 and no two are the same, so that every pixel tells where it came from.
std::vector<float> distinct_image() {
  std::vector<float> image(static_cast<std::size_t>(element_count(kShape)));
  std::iota(image.begin(), image.end(), 1.0F);
  return image;
}

float at(const std::vector<float>& image, Index c, Index y, Index x) {
  return image[(c * kHeight + y) * kWidth + x];
}

std::vector<float> augmented(const std::vector<float>& image, const Augmentation& augmentation,
                             const AugmentationDraw& draw, const Standardization* standardization = nullptr) {
  std::vector<float> out(image.size(), NAN);
  detail::prepare_image<float>(image, out, kShape, augmentation, draw, standardization);
  return out;
}

// Straight from the definition: crop of the padded image, then flip, then cutout.
std::vector<float> reference(const std::vector<float>& image, const Augmentation& a,
                             const AugmentationDraw& d, const Standardization& s) {
  std::vector<float> out;
  for (Index c = 0; c < 2; ++c)
    for (Index y = 0; y < kHeight; ++y)
      for (Index x = 0; x < kWidth; ++x) {
        const Index window_x = a.horizontal_flip && d.flip ? kWidth - 1 - x : x;
        const Index from_y = d.crop_top + y - a.crop_padding,
                    from_x = d.crop_left + window_x - a.crop_padding;
        const bool inside = from_y >= 0 && from_y < kHeight && from_x >= 0 && from_x < kWidth;
        const float value = inside ? at(image, c, from_y, from_x) : 0;
        const bool cut = y >= d.cutout_top && y < d.cutout_top + a.cutout && x >= d.cutout_left &&
                         x < d.cutout_left + a.cutout;
        out.push_back(
            cut ? 0 : (value - static_cast<float>(s.mean[c])) / static_cast<float>(s.standard_deviation[c]));
      }
  return out;
}

TEST(Augmentation, EqualsItsDefinitionForEveryDraw) {
  const Standardization standardization{{0.5, -2}, {3, 0.25}};
  const auto image = distinct_image();
  for (const Augmentation& options :
       {Augmentation{2, true, 3}, Augmentation{5, true, 0}, Augmentation{0, false, 20}})
    for (std::uint64_t sample = 0; sample < 400; ++sample) {
      const auto draw = draw_augmentation(options, kShape, Random(9, sample));
      ASSERT_EQ(augmented(image, options, draw, &standardization),
                reference(image, options, draw, standardization))
          << "sample " << sample;
    }
}

TEST(Augmentation, FlipOfTheFlipIsTheImage) {
  const auto image = distinct_image();
  const Augmentation flip{.horizontal_flip = true};
  const auto flipped = augmented(
      image, flip, {.crop_top = 0, .crop_left = 0, .flip = true, .cutout_top = 0, .cutout_left = 0});
  EXPECT_NE(flipped, image);
  EXPECT_EQ(at(flipped, 1, 2, 0), at(image, 1, 2, kWidth - 1));
  EXPECT_EQ(augmented(flipped, flip,
                      {.crop_top = 0, .crop_left = 0, .flip = true, .cutout_top = 0, .cutout_left = 0}),
            image);
}

TEST(Augmentation, ReachesEveryOffsetAndBothSidesEquallyOften) {
  constexpr int kDraws = 25000;
  const Augmentation options{2, true, 4};
  std::map<std::pair<Index, Index>, int> crops, cuts;
  int flips = 0;
  for (std::uint64_t sample = 0; sample < kDraws; ++sample) {
    const auto draw = draw_augmentation(options, kShape, Random(3, sample));
    ++crops[{draw.crop_top, draw.crop_left}];
    ++cuts[{draw.cutout_top, draw.cutout_left}];
    flips += draw.flip;
  }
  // Five standard deviations of a binomial count.
  const auto expect_even = [](int count, double p) {
    EXPECT_NEAR(count, kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p)));
  };
  expect_even(flips, 0.5);
  ASSERT_EQ(crops.size(), 25U);
  EXPECT_EQ(crops.begin()->first, std::pair(Index{0}, Index{0}));
  EXPECT_EQ(crops.rbegin()->first, std::pair(Index{4}, Index{4}));
  for (const auto& [offset, count] : crops) expect_even(count, 1.0 / 25);
  ASSERT_EQ(cuts.size(), static_cast<std::size_t>(kHeight * kWidth));
  EXPECT_EQ(cuts.begin()->first, std::pair(Index{-2}, Index{-2}));
  for (const auto& [offset, count] : cuts) expect_even(count, 1.0 / (kHeight * kWidth));
}

TEST(Augmentation, CutoutSetsAClippedSquareOfEveryChannel) {
  const auto image = distinct_image();
  const Augmentation options{.cutout = 3};
  std::set<std::ptrdiff_t> areas;
  for (std::uint64_t sample = 0; sample < 300; ++sample) {
    const auto out = augmented(image, options, draw_augmentation(options, kShape, Random(4, sample)));
    const auto half = out.begin() + kHeight * kWidth;
    const auto area = std::count(out.begin(), half, 0.0F);
    EXPECT_EQ(std::count(half, out.end(), 0.0F), area);
    areas.insert(area);
  }
  EXPECT_THAT(areas, ElementsAre(4, 6, 9));  // in a corner, at a border, inside
}

TEST(Augmentation, DrawsStayWhenAnotherIsTurnedOn) {
  for (std::uint64_t sample = 0; sample < 20; ++sample) {
    const auto crop = draw_augmentation({.crop_padding = 2}, kShape, Random(1, sample));
    const auto all = draw_augmentation({2, true, 5}, kShape, Random(1, sample));
    EXPECT_EQ(std::tie(crop.crop_top, crop.crop_left, crop.flip),
              std::tie(all.crop_top, all.crop_left, all.flip));
  }
}

std::shared_ptr<const Dataset> images(Index count) {
  Random random(17);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count * element_count(kShape)));
  Labels labels;
  for (std::size_t i = 0; i < pixels.size(); ++i)  // channel 1 is brighter and has less contrast
    pixels[i] =
        static_cast<std::uint8_t>(i / (kHeight * kWidth) % 2 ? 200 + random.below(50) : random.below(200));
  for (Index i = 0; i < count; ++i) labels.push_back(static_cast<std::int32_t>(i));
  return std::make_shared<ImageDataset>(std::move(pixels), kShape, labels,
                                        std::vector<std::string>(static_cast<std::size_t>(count), "a"));
}

// Samples by number, from one pass over the loader; labels tell the number.
template <class T>
std::map<std::int32_t, std::vector<T>> pass(DataLoader<T>& loader, Index epoch) {
  std::map<std::int32_t, std::vector<T>> samples;
  loader.start_epoch(epoch);
  while (const auto batch = loader.next()) {
    const auto size = static_cast<Index>(batch->samples.size() / batch->labels.size());
    for (std::size_t i = 0; i < batch->labels.size(); ++i) {
      const T* begin = batch->samples.data() + static_cast<Index>(i) * size;
      samples[batch->labels[i]].assign(begin, begin + size);
    }
  }
  return samples;
}

TEST(Augmentation, DependsOnSeedEpochAndSampleAlone) {
  const auto data = images(40);
  LoaderOptions options{.batch_size = 8, .seed = 5, .augmentation = {2, true, 3}};
  DataLoader<float> loader(data, options);
  const auto epoch_2 = pass(loader, 2);
  EXPECT_NE(pass(loader, 3), epoch_2);
  EXPECT_EQ(pass(loader, 2), epoch_2);

  auto changed = options;
  changed.batch_size = 7;
  changed.shuffle = false;
  DataLoader<float> other_batches(data, changed);
  EXPECT_EQ(pass(other_batches, 2), epoch_2);
  changed.seed = 6;
  DataLoader<float> other_seed(data, changed);
  EXPECT_NE(pass(other_seed, 2), epoch_2);
}

TEST(Augmentation, RefusesWhatDoesNotFit) {
  const auto make = [](Augmentation augmentation) {
    return [=] { DataLoader<float>(images(2), {.augmentation = augmentation}); };
  };
  EXPECT_THAT(make({.crop_padding = -1}),
              ThrowsMessage<ArgumentError>(HasSubstr("at least 0, got -1 and 0")));
  EXPECT_THAT(make({.cutout = -2}), ThrowsMessage<ArgumentError>(HasSubstr("got 0 and -2")));
  EXPECT_THAT(make({.crop_padding = 6}), ThrowsMessage<ArgumentError>(HasSubstr("crop_padding 6")));
}

TEST(Standardization, GivesMeanZeroAndDeviationOne) {
  const auto data = images(1100);  // more than two pieces of the parallel loop
  const auto standardization = standardization_of(*data);
  DataLoader<double> loader(data, {.batch_size = 1100, .standardization = standardization});
  loader.start_epoch(0);
  const auto samples = loader.next()->samples;
  const double count = 1100.0 * kHeight * kWidth;
  for (std::size_t c = 0; c < 2; ++c) {
    const Tensor<double> channel = xt::view(samples, xt::all(), c);
    const double mean = xt::sum(channel)() / count;
    EXPECT_NEAR(mean, 0, 1e-12);
    EXPECT_NEAR(xt::sum(xt::square(channel - mean))() / count, 1, 1e-12);
  }
}

TEST(Standardization, StaysAccurateFarFromZero) {
  // 1e4 + (-1, 1, -1, ...): the mean is 1e4 and the deviation 1, exactly.
  auto samples = empty<float>({600, 1, 5, 5});
  for (std::size_t i = 0; i < samples.size(); ++i) samples.data()[i] = i % 2 ? 10001.0F : 9999.0F;
  const auto result = standardization_of(TensorDataset(samples, Labels(600), 1));
  EXPECT_NEAR(result.mean[0], 1e4, 1e-9);
  EXPECT_NEAR(result.standard_deviation[0], 1, 1e-12);
}

TEST(Standardization, GivesAConstantFeatureTheDeviationOne) {
  const auto result = standardization_of(TensorDataset(Tensor<float>{{3, 1}, {3, 5}}, {0, 0}, 1));
  EXPECT_THAT(result.mean, ElementsAre(3, 3));
  EXPECT_THAT(result.standard_deviation, ElementsAre(1, 2));
}

TEST(Standardization, SameBitsForAnyNumberOfThreads) {
  const auto data = images(2000);
  const int threads = num_threads();
  set_num_threads(1);
  const auto one = standardization_of(*data);
  set_num_threads(3);
  const auto three = standardization_of(*data);
  set_num_threads(threads);
  EXPECT_EQ(one, three);
}

TEST(Standardization, OfATensorEqualsTheLoaders) {
  const auto data = images(5);
  const auto standardization = standardization_of(*data);
  DataLoader<float> plain(data, {.batch_size = 5}),
      standardized(data, {.batch_size = 5, .standardization = standardization});
  plain.start_epoch(0);
  standardized.start_epoch(0);
  auto samples = plain.next()->samples;
  standardize(samples, standardization);
  EXPECT_EQ(samples, standardized.next()->samples);

  auto wrong = full<float>({5, 3, 6, 8}, 0);
  EXPECT_THAT([&] { standardize(wrong, standardization); },
              ThrowsMessage<ShapeError>(HasSubstr("(N, 2, ...), got (5, 3, 6, 8)")));
}

TEST(Standardization, PadsWithBlackAndCutsOutToTheMean) {
  const Standardization standardization{{0.5, 0.25}, {0.25, 0.5}};
  const std::vector<float> white(static_cast<std::size_t>(element_count(kShape)), 1.0F);
  const auto padded = augmented(
      white, {.crop_padding = 2},
      {.crop_top = 0, .crop_left = 2, .flip = false, .cutout_top = 0, .cutout_left = 0}, &standardization);
  EXPECT_EQ(at(padded, 0, 0, 0), -2);
  EXPECT_EQ(at(padded, 1, 1, 7), -0.5);
  EXPECT_EQ(at(padded, 0, 2, 0), 2);
  EXPECT_EQ(at(padded, 1, 2, 0), 1.5);
  const auto cut =
      augmented(white, {.cutout = 99},
                {.crop_top = 0, .crop_left = 0, .flip = false, .cutout_top = -49, .cutout_left = -49},
                &standardization);
  EXPECT_THAT(cut, Each(0.0F));
}

}  // namespace
}  // namespace strata
