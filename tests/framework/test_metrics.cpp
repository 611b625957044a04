#include <cmath>
#include <limits>
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

template <class T>
class NaNScores : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(NaNScores, Scalars);

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

// Wherever the NaN stands, and whatever the label: one rule for all that judge scores.
TYPED_TEST(NaNScores, AreNeverRight) {
  using T = TypeParam;
  constexpr Index kClasses = 4;
  for (const T other : {T(1), std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity()})
    for (Index at = 0; at < kClasses; ++at)
      for (std::int32_t label = 0; label < kClasses; ++label) {
        Tensor<T> scores{{0, 1, 2, 3}, {0, 1, 2, 3}};
        scores(0, (at + 1) % kClasses) = other;
        scores(0, at) = std::numeric_limits<T>::quiet_NaN();
        const Labels labels{label, 3};
        EXPECT_EQ(predictions(scores), (Labels{kNoClass, 3}));
        EXPECT_EQ(accuracy(scores, labels), 0.5);
        for (Index k = 1; k <= kClasses; ++k) EXPECT_EQ(top_k_accuracy(scores, labels, k), 0.5);
        ConfusionMatrix matrix(kClasses);
        matrix.add(scores, labels);
        EXPECT_EQ(matrix.total(), 2);
        EXPECT_EQ(matrix.accuracy(), 0.5);
        EXPECT_EQ(matrix.count(label, kNoClass), 1);
        EXPECT_EQ(matrix.recall(label), label == 3 ? 0.5 : 0);
        EXPECT_EQ(matrix.precision(3), 1);
      }
}

// Random scores, every fourth NaN: all count the same samples as right.
TYPED_TEST(NaNScores, AreCountedAlikeByAll) {
  using T = TypeParam;
  Random random(3);
  auto scores = random.normal<T>({200, 5});
  for (T& score : scores)
    if (random.below(8) == 0) score = std::numeric_limits<T>::quiet_NaN();
  Labels labels;
  double right = 0;
  for (std::size_t n = 0; n < 200; ++n) {
    labels.push_back(static_cast<std::int32_t>(random.below(5)));
    bool ahead = true;
    for (std::size_t c = 0; c < 5; ++c)
      ahead = ahead && !std::isnan(scores(n, c)) && scores(n, c) <= scores(n, labels[n]);
    right += ahead;
  }
  ConfusionMatrix matrix(5);
  matrix.add(scores, labels);
  EXPECT_GT(right, 10);
  EXPECT_EQ(accuracy(scores, labels), right / 200);
  EXPECT_EQ(matrix.accuracy(), right / 200);
}

TEST(ConfusionMatrix, FitsATerminal) {
  ConfusionMatrix matrix(10, {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
                              "Sneaker", "Bag", "Ankle boot"});
  matrix.add({0, 9, 9}, {0, 9, 0});
  std::istringstream lines(matrix.to_string());
  std::vector<std::string> all;
  for (std::string line; std::getline(lines, line);) all.push_back(line);
  EXPECT_EQ(all.size(), 25u) << matrix;  // two parts of twelve lines, and an empty one between them
  for (const std::string& line : all) EXPECT_LE(line.size(), 80u) << line;
  EXPECT_THAT(all[11], testing::MatchesRegex("precision  +50.0 %  +-  .*"));
  EXPECT_THAT(all[13], testing::MatchesRegex("label . predicted .*Ankle boot +recall"));
  EXPECT_THAT(all[23], testing::MatchesRegex("Ankle boot .* 1 +50.0 %"));
}

TEST(ConfusionMatrix, HasAColumnForWhatIsNoClass) {
  ConfusionMatrix matrix(2, {"cat", "dog"});
  matrix.add({0, 0, 1}, {0, kNoClass, 1});
  EXPECT_EQ(matrix.to_string(),
            "label \\ predicted      cat      dog  none   recall\n"
            "cat                      1        0     1   50.0 %\n"
            "dog                      0        1     0  100.0 %\n"
            "precision          100.0 %  100.0 %     -   66.7 %\n");
  EXPECT_THAT([&] { matrix.add({0}, {-2}); }, ThrowsMessage<ArgumentError>(HasSubstr("prediction -2")));
  EXPECT_THAT([&] { matrix.add({kNoClass}, {0}); }, ThrowsMessage<ArgumentError>(HasSubstr("label -1")));
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
