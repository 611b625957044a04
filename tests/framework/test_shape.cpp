// Shapes whose products do not fit into 63 bits: refused where they are made, by the layer that would make
// them.
#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/strata.hpp"

namespace strata {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using testing::ThrowsMessage;

constexpr Index kMost = std::numeric_limits<Index>::max();
constexpr std::size_t kHuge = std::size_t{1} << 62;

TEST(Shape, CountsItsElements) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({2, 3, 4}), 24);
  EXPECT_EQ(element_count({2, 0, 4}), 0);
  EXPECT_EQ(element_count({static_cast<std::size_t>(kMost)}), kMost);
  EXPECT_EQ(element_count({kHuge, 1, 0}), 0);
}

TEST(Shape, RefusesMoreThanCanBeCounted) {
  for (const Shape& shape : {Shape{kHuge, 2}, Shape{kHuge, 4}, Shape{kHuge, 8, 8}, Shape{0, kHuge, 2},
                             Shape{1ul << 31, 1ul << 31, 2}, Shape{std::size_t{1} << 63}, Shape{SIZE_MAX}}) {
    const auto message = "fewer than 2^63 elements, got the shape " + to_string(shape);
    EXPECT_THAT([&] { element_count(shape); }, ThrowsMessage<ShapeError>(HasSubstr(message)));
    EXPECT_THAT([&] { empty<float>(shape); }, ThrowsMessage<ShapeError>(HasSubstr(message)));
    EXPECT_THAT([&] { full<double>(shape, 1); }, ThrowsMessage<ShapeError>(HasSubstr(message)));
    EXPECT_THAT([&] { zeros<float>(shape); }, ThrowsMessage<ShapeError>(HasSubstr(message)));
  }
  // As many elements can be counted, their bytes cannot.
  EXPECT_THROW(empty<float>({kHuge}), std::bad_alloc);
  EXPECT_THROW(zeros<double>({kHuge / 2}), std::bad_alloc);
}

TEST(CheckedArithmetic, NoticesWhatDoesNotFit) {
  using detail::Checked;
  const Checked most = kMost, least = std::numeric_limits<Index>::min();
  EXPECT_EQ((Checked(3) * 5 + -1).value(), 14);
  EXPECT_TRUE((most + 0).fits() && (most * 1).fits() && (most * -1).fits() && (least + most).fits());
  EXPECT_FALSE((most + 1).fits() || (most * 2).fits() || (least * -1).fits() || (least + -1).fits());
  EXPECT_TRUE(Checked(kHuge).fits() && !Checked(SIZE_MAX).fits());
  // Nor does what is computed from it, on either side.
  EXPECT_FALSE((most * 2 * 0).fits() || (0 * (most * 2)).fits() || (1 + Checked(SIZE_MAX)).fits() ||
               (Checked(SIZE_MAX) + 1).fits());
  EXPECT_EQ(detail::checked_shape({2, Checked(3) + 1}), Shape({2, 4}));
  EXPECT_FALSE(detail::checked_shape({2, -1}) || detail::checked_shape({most + 1}) ||
               detail::checked_shape({most, 2}));
  EXPECT_EQ(detail::checked_count({5, 7}, 4), 140);
  EXPECT_FALSE(detail::checked_count({5, kHuge / 4}, 2));
}

template <class Part, class Input>
void expect_refused(const Part& part, const Input& input, const std::string& name) {
  EXPECT_THAT([&] { part.output_shape(input); },
              ThrowsMessage<ShapeError>(AllOf(StartsWith(name + ": expected "), HasSubstr("got"))))
      << part.options();
}

TEST(HugeShapes, AreRefusedByTheLayer) {
  const auto most = static_cast<std::size_t>(kMost);
  expect_refused(Flatten<float>{}, Shape{1, kHuge, 2}, "Flatten");
  expect_refused(Flatten<float>{}, Shape{0, kHuge, 2}, "Flatten");
  expect_refused(Upsample2D<float>{{kMost, 1}}, Shape{1, 1, 2, 1}, "Upsample2D");
  expect_refused(Upsample2D<float>{{1, 4}}, Shape{1, 1, 1, kHuge}, "Upsample2D");
  expect_refused(Upsample2D<float>{2}, Shape{1, 1, kHuge, 1}, "Upsample2D");
  expect_refused(GlobalAvgPool2D<float>{}, Shape{1, 1, kHuge, 4}, "GlobalAvgPool2D");
  for (const Shape& x : {Shape{1, 1, kHuge, 4}, Shape{1, 1, most, 2}, Shape{kHuge, 2, 2, 2}}) {
    expect_refused(MaxPool2D<float>{2}, x, "MaxPool2D");
    expect_refused(AvgPool2D<float>{2}, x, "AvgPool2D");
  }
  expect_refused(MaxPool2D<float>{2, {.stride = 1, .padding = 1}}, Shape{1, 1, most, 1}, "MaxPool2D");
  expect_refused(Conv2D<float>{1, 1, 1, {.padding = 1}}, Shape{1, 1, most, 1}, "Conv2D");
  expect_refused(Conv2D<float>{1, 8, 1}, Shape{1, 1, kHuge, 1}, "Conv2D");
  expect_refused(Conv2D<float>{1, 1, 3, {.padding = kLargestSize}}, Shape{8, 1, 1, 1}, "Conv2D");
  expect_refused(Conv2D<float>{1, 1, 3, {.dilation = kLargestSize}}, Shape{1, 1, 9, 9}, "Conv2D");
  expect_refused(ConvTranspose2D<float>{1, 1, 1, {.stride = 4}}, Shape{1, 1, kHuge, 1}, "ConvTranspose2D");
  expect_refused(ConvTranspose2D<float>{1, 1, 3, {.stride = kLargestSize}}, Shape{1, 1, kHuge, 1},
                 "ConvTranspose2D");
  expect_refused(ConvTranspose2D<float>{1, 8, 1}, Shape{1, 1, kHuge, 1}, "ConvTranspose2D");
  const Shape uncountable{kHuge, 2, 2, 2};
  expect_refused(SpatialBatchNorm<float>{2}, uncountable, "SpatialBatchNorm");
  expect_refused(InstanceNorm2D<float>{2}, uncountable, "InstanceNorm2D");
  expect_refused(GroupNorm<float>{1, 2}, uncountable, "GroupNorm");
  expect_refused(LayerNorm<float>{{2, 2}}, uncountable, "LayerNorm");
  const std::vector<Shape> halves{{1, kHuge}, {1, kHuge}}, wide{{kHuge, 1}, {kHuge, 1}};
  EXPECT_THAT([&] { Concat<float>{}.output_shape(halves); }, ThrowsMessage<ShapeError>(StartsWith("Concat")));
  EXPECT_THAT([&] { Concat<float>{}.output_shape(wide); }, ThrowsMessage<ShapeError>(StartsWith("Concat")));
}

void expect_argument_error(const std::function<void()>& make, const std::string& message) {
  EXPECT_THAT(make, ThrowsMessage<ArgumentError>(StartsWith(message)));
}

TEST(HugeOptions, AreRefusedByTheLayer) {
  constexpr Index kTooLarge = kLargestSize + 1;
  expect_argument_error([] { Conv2D<float>(1, 1, kMost); }, "Conv2D: kernel must be below 2^31, got ");
  expect_argument_error([] { Conv2D<float>(1, 1, 3, {.stride = kTooLarge}); },
                        "Conv2D: stride must be below");
  expect_argument_error(
      [] {
        Conv2D<float>(1, 1, 3, {.padding = {0, kTooLarge}});
      },
      "Conv2D: padding must be below 2^31, got 0x2147483648");
  expect_argument_error([] { Conv2D<float>(1, 1, 3, {.dilation = kMost}); },
                        "Conv2D: dilation must be below");
  expect_argument_error([] { ConvTranspose2D<float>(1, 1, 3, {.output_padding = kTooLarge}); },
                        "ConvTranspose2D: output_padding must be below 2^31");
  expect_argument_error([] { Conv2D<float>(Index{1} << 31, Index{1} << 32, 1); },
                        "Conv2D: expected fewer than 2^63 weights, got 2147483648 -> 4294967296, kernel 1x1");
  expect_argument_error([] { Conv2D<float>(3, 1, kLargestSize); },
                        "Conv2D: expected fewer than 2^63 weights");
  expect_argument_error([] { Linear<float>(Index{1} << 31, Index{1} << 32); },
                        "Linear: expected fewer than 2^63 weights, got 2147483648 -> 4294967296");
  expect_argument_error([] { MaxPool2D<float>{kTooLarge}; },
                        "MaxPool2D: expected a window and a stride below");
  expect_argument_error([] { AvgPool2D<float>(2, {.stride = kTooLarge}); },
                        "AvgPool2D: expected a window and a stride below 2^31, got 2x2 and 2147483648x");
  expect_argument_error([] { LayerNorm<float>{{kHuge, 2}}; }, "LayerNorm: expected a normalized_shape");
}

TEST(HugeShapes, AreRefusedByDataSets) {
  expect_argument_error([] { synthetic(kMost); }, "synthetic: expected fewer than 2^63 bytes");
  // Its bytes, counted modulo 2^64, would be 1024.
  expect_argument_error([] { synthetic(Index{6004799503160662}); }, "synthetic: expected fewer than 2^63");
  EXPECT_THAT(
      [] {
        ImageDataset({}, {kHuge, 2, 2}, {0}, {"a"});
      },
      ThrowsMessage<ShapeError>(HasSubstr("expected an image shape (C, H, W), got")));
  EXPECT_THAT(
      [] {
        ImageDataset({}, {kHuge, 1, 1}, {0, 0, 0, 0}, {"a"});
      },
      ThrowsMessage<ShapeError>(HasSubstr("expected 4 images of shape")));
}

}  // namespace
}  // namespace strata
