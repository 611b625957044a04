#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "strata/framework/data/synthetic.hpp"
#include "strata/framework/error.hpp"
#include "strata/framework/runtime/parallel.hpp"

namespace strata {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<std::uint8_t> all_pixels(const ImageDataset& data) {
  std::vector<std::uint8_t> all;
  for (Index i = 0; i < data.size(); ++i) all.insert(all.end(), data.pixels(i).begin(), data.pixels(i).end());
  return all;
}

TEST(Synthetic, IsTenClassesOfNamedShapes) {
  const auto data = synthetic(57);
  EXPECT_EQ(data->size(), 57);
  EXPECT_EQ(data->sample_shape(), (Shape{3, 32, 32}));
  EXPECT_EQ(data->classes(), 10);
  std::set<std::string> names;
  for (Index c = 0; c < 10; ++c) names.insert(data->class_name(c));
  EXPECT_EQ(names.size(), 10u);
  EXPECT_EQ(data->class_name(0), "circle");
  EXPECT_EQ(data->class_name(9), "frame");
  for (Index i = 0; i < 57; ++i) EXPECT_EQ(data->label(i), i % 10);
}

TEST(Synthetic, TheSameSeedGivesTheSameBytes) {
  const auto pixels = all_pixels(*synthetic(40, 7));
  EXPECT_EQ(all_pixels(*synthetic(40, 7)), pixels);
  EXPECT_EQ(all_pixels(*synthetic(40)), all_pixels(*synthetic(40, 0)));
  // On every machine, and in every version: results that were published would change with them.
  EXPECT_EQ(crc32(0, pixels.data(), static_cast<uInt>(pixels.size())), 386320729u);
}

TEST(Synthetic, ASampleDoesNotDependOnTheCount) {
  const auto many = all_pixels(*synthetic(200, 3));
  for (const Index count : {1, 15, 16, 17, 64, 199}) {
    const auto few = all_pixels(*synthetic(count, 3));
    ASSERT_EQ(few.size(), static_cast<std::size_t>(count) * 3072);
    EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin())) << count;
  }
}

TEST(Synthetic, ThreadsChangeNothing) {
  const int threads_before = num_threads();
  std::vector<std::vector<std::uint8_t>> pixels;
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    pixels.push_back(all_pixels(*synthetic(100, 5)));
  }
  set_num_threads(threads_before);
  EXPECT_EQ(pixels[1], pixels[0]);
  EXPECT_EQ(pixels[2], pixels[0]);
}

TEST(Synthetic, EverySampleOfEverySeedIsAnother) {
  std::set<std::vector<std::uint8_t>> seen;
  for (const std::uint64_t seed : {0, 1, 2}) {
    const auto data = synthetic(100, seed);
    for (Index i = 0; i < 100; ++i) seen.insert({data->pixels(i).begin(), data->pixels(i).end()});
  }
  EXPECT_EQ(seen.size(), 300u);
}

// Neither the mean color nor the brightness of a class gives it away.
TEST(Synthetic, ColorsSayNothingAboutTheClass) {
  const auto data = synthetic(5000, 4);
  std::vector<double> brightness(10);
  for (Index i = 0; i < data->size(); ++i)
    for (const std::uint8_t value : data->pixels(i)) brightness[static_cast<std::size_t>(i % 10)] += value;
  // An image's mean varies with a deviation of about 35, that of 500 images with 1.6.
  for (const double sum : brightness) EXPECT_NEAR(sum / (500 * 3072), 127.5, 8);
}

TEST(Synthetic, NeedsAnImage) {
  EXPECT_THAT([] { synthetic(0); },
              ThrowsMessage<ArgumentError>(HasSubstr("at least one image is needed, got 0")));
  EXPECT_THAT([] { synthetic(-4); }, ThrowsMessage<ArgumentError>(HasSubstr("got -4")));
}

}  // namespace
}  // namespace strata
