#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/graph/summary.hpp"
#include "strata/strata.hpp"
#include "tests/framework/kernels_only.hpp"

namespace strata {
namespace {

using testing::HasSubstr;

Graph<float> block() {
  Graph<float> graph;
  graph.input("x")
      .add("a", Linear<float>{20, 20, {.bias = false}}, "x")
      .join("sum", Add<float>{}, {"a", "x"})
      .output("sum");
  return graph;
}

TEST(Summary, HasARowPerLayerAndTotals) {
  Sequential<float> net;
  net.add("stem", Sequential<float>{Linear<float>{100, 20}, ReLU<float>{}});
  net.add("block", block());
  net.find("stem.0").freeze();
  const Summary table = summary(net, {8, 100});
  ASSERT_EQ(table.rows.size(), 6u);
  EXPECT_EQ(table.rows[0].path, "stem");
  EXPECT_TRUE(table.rows[0].container);
  EXPECT_EQ(table.rows[1].path, "stem.0");
  EXPECT_EQ(table.rows[1].type, "Linear");
  EXPECT_EQ(table.rows[1].options, "100 -> 20");
  EXPECT_EQ(table.rows[1].output, (Shape{8, 20}));
  EXPECT_EQ(table.rows[1].parameters, 2020u);
  EXPECT_EQ(table.rows[1].multiply_adds, 16000u);
  EXPECT_EQ(table.rows[1].output_bytes, 8u * 20 * 4);
  EXPECT_EQ(table.rows[5].path, "block.sum");
  EXPECT_EQ(table.rows[5].type, "Add");
  EXPECT_EQ(table.parameters, 2420u);
  EXPECT_EQ(table.trainable_parameters, 400u);
  EXPECT_EQ(table.parameter_bytes, 2420u * 4);
  EXPECT_EQ(table.multiply_adds, net.multiply_adds({8, 100}));
  EXPECT_EQ(table.output_bytes, 4u * 640);
  EXPECT_EQ(table.to_string(),
            "layer      type                      output shape  algorithm  parameters\n"
            "stem       Sequential                (8, 20)\n"
            "stem.0     Linear 100 -> 20          (8, 20)                       2,020\n"
            "stem.1     ReLU                      (8, 20)                           0\n"
            "block      Graph                     (8, 20)\n"
            "block.a    Linear 20 -> 20, no bias  (8, 20)                         400\n"
            "block.sum  Add                       (8, 20)                           0\n"
            "total                                                              2,420\n"
            "\n"
            "layer      multiply-adds   output\n"
            "stem\n"
            "stem.0            16,000    640 B\n"
            "stem.1                 0    640 B\n"
            "block\n"
            "block.a            3,200    640 B\n"
            "block.sum              0    640 B\n"
            "total             19,200  2.5 KiB\n"
            "400 of 2,420 parameters are trainable; they take 9.5 KiB\n");
  std::ostringstream stream;
  stream << table;
  EXPECT_EQ(stream.str(), table.to_string());
}

TEST(Summary, NamesTheAlgorithmOfAConvolution) {
  const KernelsOnly kernels_only;
  const Summary table =
      summary(Sequential<float>{Conv2D<float>{16, 16, 3}, Conv2D<float>{16, 16, 3, {.winograd = false}}},
              {2, 16, 12, 12});
  EXPECT_EQ(table.rows[0].algorithm, "winograd 4x4");
  EXPECT_EQ(table.rows[1].algorithm, "direct");
  EXPECT_THAT(table.to_string(), HasSubstr("  winograd 4x4\n"));
}

TEST(Summary, OfOneLayer) {
  const Summary table = summary(Linear<double>(3, 2), {1, 3});
  ASSERT_EQ(table.rows.size(), 1u);
  EXPECT_EQ(table.parameters, 8u);
  EXPECT_EQ(table.output_bytes, 16u);
}

TEST(Summary, OfAGraphOfSeveralInputs) {
  Graph<float> graph;
  graph.input("x").input("y").join("sum", Add<float>{}, {"x", "y"}).output("sum");
  EXPECT_EQ(summary(graph, std::vector<Shape>{{2, 3}, {2, 3}}).output_bytes, 24u);
  EXPECT_EQ(summary(block(), {2, 20}).rows.size(), 2u);
}

TEST(Summary, RefusesAnInputThatDoesNotFit) {
  EXPECT_THROW(summary(block(), {2, 21}), ShapeError);
}

}  // namespace
}  // namespace strata
