#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/strata.hpp"

namespace strata {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(ImageDataset, ReadsBytesAsFractions) {
  const ImageDataset data({0, 51, 102, 255, 1, 2, 3, 4}, {1, 2, 2}, {1, 0}, {"cat", "dog"});
  EXPECT_EQ(data.size(), 2);
  EXPECT_EQ(data.sample_shape(), (Shape{1, 2, 2}));
  EXPECT_EQ(data.classes(), 2);
  EXPECT_EQ(data.label(0), 1);
  EXPECT_EQ(data.class_name(1), "dog");
  EXPECT_THAT(data.pixels(1), ElementsAre(1, 2, 3, 4));
  std::vector<float> sample(4);
  data.read(0, sample);
  EXPECT_THAT(sample, ElementsAre(0.0F, 51.0F / 255.0F, 102.0F / 255.0F, 1.0F));
  data.read(1, sample);
  EXPECT_EQ(sample[3], 4.0F / 255.0F);
}

TEST(ImageDataset, RefusesWhatDoesNotFit) {
  const std::vector<std::uint8_t> pixels(8);
  const auto make = [&](Shape shape, Labels labels, std::vector<std::string> names) {
    return [=] { ImageDataset(pixels, shape, labels, names); };
  };
  EXPECT_THAT(make({2, 2}, {0, 0}, {"a"}), ThrowsMessage<ShapeError>(HasSubstr("(C, H, W), got (2, 2)")));
  EXPECT_THAT(make({1, 2, 0}, {0, 0}, {"a"}), ThrowsMessage<ShapeError>(HasSubstr("got (1, 2, 0)")));
  EXPECT_THAT(
      make({1, 2, 2}, {0, 0, 0}, {"a"}),
      ThrowsMessage<ShapeError>(HasSubstr("3 images of shape (1, 2, 2), one for each label, got 8 bytes")));
  EXPECT_THAT(make({1, 2, 2}, {0, 2}, {"a", "b"}),
              ThrowsMessage<ArgumentError>(HasSubstr("label 2 of sample 1 is outside [0, 2)")));
  EXPECT_THAT(make({1, 2, 2}, {-1, 0}, {"a"}),
              ThrowsMessage<ArgumentError>(HasSubstr("label -1 of sample 0")));
  EXPECT_THAT(make({1, 2, 2}, {}, {"a"}), ThrowsMessage<ArgumentError>(HasSubstr("at least one sample")));
  EXPECT_THAT(make({1, 2, 2}, {0, 0}, {}), ThrowsMessage<ArgumentError>(HasSubstr("at least one class")));

  const ImageDataset data(pixels, {1, 2, 2}, {0, 0}, {"a"});
  std::vector<float> sample(4), small(3);
  EXPECT_THAT([&] { data.read(2, sample); }, ThrowsMessage<ArgumentError>(HasSubstr("sample 2 of 2")));
  EXPECT_THAT([&] { data.read(-1, sample); }, ThrowsMessage<ArgumentError>(HasSubstr("sample -1 of 2")));
  EXPECT_THAT([&] { data.read(0, small); },
              ThrowsMessage<ShapeError>(HasSubstr("shape (1, 2, 2), got room for 3 values")));
  EXPECT_THROW(data.label(2), ArgumentError);
  EXPECT_THROW(data.class_name(1), ArgumentError);
}

TEST(TensorDataset, ReadsItsRows) {
  const TensorDataset data(Tensor<float>{{1, 2, 3}, {4, 5, 6}}, {2, 0}, 3);
  EXPECT_EQ(data.size(), 2);
  EXPECT_EQ(data.sample_shape(), Shape{3});
  EXPECT_EQ(data.classes(), 3);
  EXPECT_EQ(data.label(0), 2);
  EXPECT_EQ(data.class_name(2), "2");
  std::vector<float> sample(3);
  data.read(1, sample);
  EXPECT_THAT(sample, ElementsAre(4, 5, 6));
}

TEST(TensorDataset, RefusesWhatDoesNotFit) {
  const auto make = [](Shape shape, Labels labels, Index classes) {
    return [=] { TensorDataset(full<float>(shape, 0), labels, classes); };
  };
  EXPECT_THAT(make({2, 3}, {0}, 1),
              ThrowsMessage<ShapeError>(HasSubstr("shape (1, ...), one for each label, got (2, 3)")));
  EXPECT_THAT(make({2}, {0, 0}, 1), ThrowsMessage<ShapeError>(HasSubstr("got (2)")));
  EXPECT_THAT(make({2, 0}, {0, 0}, 1), ThrowsMessage<ShapeError>(HasSubstr("got (2, 0)")));
  EXPECT_THAT(make({2, 3}, {0, 10}, 10),
              ThrowsMessage<ArgumentError>(HasSubstr("label 10 of sample 1 is outside [0, 10)")));
  EXPECT_THAT(make({2, 3}, {0, 0}, 0), ThrowsMessage<ArgumentError>(HasSubstr("at least one class")));
  const TensorDataset data(Tensor<float>{{1, 2, 3}}, {0}, 1);
  std::vector<float> sample(3);
  EXPECT_THROW(data.read(1, sample), ArgumentError);
  EXPECT_THROW(data.read(0, std::span(sample).first(2)), ShapeError);
}

}  // namespace
}  // namespace strata
