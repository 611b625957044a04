#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/strata.hpp"

namespace strata {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<Tensor<double>> some(const std::vector<Shape>& shapes) {
  std::vector<Tensor<double>> tensors;
  for (std::size_t k = 0; k < shapes.size(); ++k) tensors.push_back(Random(k).normal<double>(shapes[k]));
  return tensors;
}

TEST(Add, AddsElements) {
  EXPECT_EQ(Add<float>().forward({{{1, 2}}, {{10, 20}}, {{100, 200}}}), (Tensor<float>{{111, 222}}));
}

TEST(Add, Gradient) {
  for (const std::size_t count : {1, 2, 4}) {
    const GradientReport report =
        check_gradients(Add<double>(), some(std::vector<Shape>(count, Shape{2, 3, 2, 2})));
    EXPECT_TRUE(report.passed()) << report;
    EXPECT_EQ(report.rows.size(), count);
  }
}

TEST(Add, RefusesInputsOfTwoShapes) {
  EXPECT_THAT(
      [] {
        Add<double>().forward(some({{2, 3}, {2, 1}}));
      },
      ThrowsMessage<ShapeError>(AllOf(HasSubstr("Add"), HasSubstr("(2, 3)"), HasSubstr("(2, 1)"))));
  EXPECT_THAT([] { Add<double>().forward({}); }, ThrowsMessage<ShapeError>(HasSubstr("at least one input")));
  EXPECT_THAT(
      [] {
        Add<double>().backward(full<double>({3, 2}, 0), {{2, 3}, {2, 3}});
      },
      ThrowsMessage<ShapeError>(AllOf(HasSubstr("(2, 3)"), HasSubstr("(3, 2)"))));
}

TEST(Concat, PutsChannelsSideBySide) {
  const auto x = some({{2, 1, 2, 3}, {2, 4, 2, 3}, {2, 2, 2, 3}});
  const Tensor<double> y = Concat<double>().forward(x);
  ASSERT_EQ(y.shape(), (Shape{2, 7, 2, 3}));
  for (std::size_t n = 0; n < 2; ++n)
    for (std::size_t c = 0; c < 7; ++c)
      for (std::size_t i = 0; i < 2; ++i)
        for (std::size_t j = 0; j < 3; ++j)
          EXPECT_EQ(y(n, c, i, j), c < 1   ? x[0](n, c, i, j)
                                   : c < 5 ? x[1](n, c - 1, i, j)
                                           : x[2](n, c - 5, i, j));
  EXPECT_EQ(Concat<double>().backward(y, {x[0].shape(), x[1].shape(), x[2].shape()}), x);
}

TEST(Concat, Gradient) {
  for (const std::vector<Shape>& shapes :
       {std::vector<Shape>{{3, 2}, {3, 5}}, {{1, 1, 4}, {1, 2, 4}, {1, 1, 4}}, {{2, 3, 1, 2}}, {{1, 1}}}) {
    const GradientReport report = check_gradients(Concat<double>(), some(shapes));
    EXPECT_TRUE(report.passed()) << report;
  }
}

TEST(Concat, RefusesInputsThatDifferElsewhere) {
  for (const std::vector<Shape>& shapes :
       {std::vector<Shape>{{2, 3, 4, 4}, {2, 3, 4, 5}}, {{2, 3}, {1, 3}}, {{2, 3}, {2, 3, 1}}})
    EXPECT_THAT(
        [&] { Concat<double>().forward(some(shapes)); },
        ThrowsMessage<ShapeError>(AllOf(HasSubstr("Concat"), HasSubstr("axis 1"),
                                        HasSubstr(to_string(shapes[0])), HasSubstr(to_string(shapes[1])))));
  EXPECT_THAT(
      [] {
        Concat<double>().forward(some({{3}, {3}}));
      },
      ThrowsMessage<ShapeError>(AllOf(HasSubstr("(N, C, ...)"), HasSubstr("(3)"))));
}

}  // namespace
}  // namespace strata
