#include <cmath>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/metrics.hpp"
#include "strata/strata.hpp"

namespace strata {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

const Tensor<float> kScores{{3, 1, 2}, {1, 2, 3}, {0, 5, 4}, {1, 1, 1}};

TEST(Predictions, AreTheHighestScoresTheFirstOfEqualOnes) {
  EXPECT_THAT(predictions(kScores), ElementsAre(0, 2, 1, 0));
}

TEST(Accuracy, IsTheShareOfRightOnes) {
  EXPECT_DOUBLE_EQ(accuracy(kScores, {0, 2, 2, 1}), 0.5);
  EXPECT_DOUBLE_EQ(accuracy(kScores, {0, 2, 1, 0}), 1);
}

TEST(TopKAccuracy, CountsTheKHighest) {
  const Labels labels{1, 1, 2, 2};
  EXPECT_DOUBLE_EQ(top_k_accuracy(kScores, labels, 1), 0);
  EXPECT_DOUBLE_EQ(top_k_accuracy(kScores, labels, 2), 0.5);
  EXPECT_DOUBLE_EQ(top_k_accuracy(kScores, labels, 3), 1);
}

TEST(Accuracy, IsZeroForScoresThatAreNotNumbers) {
  EXPECT_EQ(accuracy(full<double>({4, 3}, NAN), {0, 1, 2, 0}), 0);
  EXPECT_EQ(accuracy(Tensor<double>{{1, NAN}}, {0}), 0);
}

TEST(Accuracy, RefusesWhatDoesNotFit) {
  EXPECT_THAT(
      [] {
        accuracy(kScores, {0, 3, 0, 0});
      },
      ThrowsMessage<ArgumentError>(
          AllOf(HasSubstr("label 3"), HasSubstr("sample 1"), HasSubstr("3 classes"))));
  EXPECT_THAT(
      [] { accuracy(kScores, {0}); },
      ThrowsMessage<ShapeError>(AllOf(HasSubstr("4 labels"), HasSubstr("(4, 3)"), HasSubstr("got 1"))));
  EXPECT_THAT([] { accuracy(empty<float>({0, 3}), {}); }, ThrowsMessage<ShapeError>(HasSubstr("(0, 3)")));
  for (const Index k : {0, 4})
    EXPECT_THAT(
        [k] {
          top_k_accuracy(kScores, {0, 0, 0, 0}, k);
        },
        ThrowsMessage<ArgumentError>(AllOf(HasSubstr("[1, 3]"), HasSubstr(std::to_string(k)))));
}

TEST(ConfusionMatrix, CountsByLabelAndPrediction) {
  ConfusionMatrix matrix(3, {"cat", "dog", "owl"});
  matrix.add({0, 0, 0, 1, 1}, {0, 0, 1, 1, 0});
  matrix.add(kScores, {0, 1, 1, 1});
  EXPECT_EQ(matrix.total(), 9);
  EXPECT_EQ(matrix.count(0, 0), 3);
  EXPECT_EQ(matrix.count(1, 2), 1);
  EXPECT_EQ(matrix.count(1, 0), 2);
  EXPECT_DOUBLE_EQ(matrix.recall(0), 3.0 / 4);
  EXPECT_DOUBLE_EQ(matrix.precision(0), 3.0 / 5);
  EXPECT_DOUBLE_EQ(matrix.accuracy(), 5.0 / 9);
  EXPECT_TRUE(std::isnan(matrix.recall(2)));
  EXPECT_EQ(matrix.to_string(),
            "label \\ predicted     cat     dog    owl  recall\n"
            "cat                     3       1      0  75.0 %\n"
            "dog                     2       2      1  40.0 %\n"
            "owl                     0       0      0       -\n"
            "precision          60.0 %  66.7 %  0.0 %  55.6 %\n");
  std::ostringstream stream;
  stream << matrix;
  EXPECT_EQ(stream.str(), matrix.to_string());
}

TEST(ConfusionMatrix, RefusesWhatDoesNotFit) {
  EXPECT_THAT([] { ConfusionMatrix(0); }, ThrowsMessage<ArgumentError>(HasSubstr("got 0")));
  EXPECT_THAT([] { ConfusionMatrix(2, {"one"}); },
              ThrowsMessage<ArgumentError>(AllOf(HasSubstr("2 names"), HasSubstr("got 1"))));
  ConfusionMatrix matrix(2);
  EXPECT_THAT(
      [&] {
        matrix.add({0, 1}, {0, 2});
      },
      ThrowsMessage<ArgumentError>(AllOf(HasSubstr("prediction 2"), HasSubstr("sample 1"))));
  EXPECT_THAT([&] { matrix.add({0, -1}, {0, 1}); }, ThrowsMessage<ArgumentError>(HasSubstr("label -1")));
  EXPECT_THAT(
      [&] {
        matrix.add(Labels{0, 1}, Labels{0});
      },
      ThrowsMessage<ShapeError>(HasSubstr("got 1 for 2")));
  EXPECT_THAT([&] { matrix.count(2, 0); }, ThrowsMessage<ArgumentError>(HasSubstr("(2, 0)")));
  EXPECT_EQ(matrix.total(), 0);
}

}  // namespace
}  // namespace strata
