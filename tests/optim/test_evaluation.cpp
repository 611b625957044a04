#include <cstdio>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/metrics.hpp"
#include "strata/optim/evaluation.hpp"
#include "tests/optim/solver_fixtures.hpp"

namespace strata {
namespace {

using namespace testing_solver;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Evaluation, GivesTheMeanLossTheAccuracyAndThePredictions) {
  // Scores are the features themselves, standardized by (x - 1) / 2.
  const auto data = std::make_shared<TensorDataset>(
      Tensor<float>{{5, 1, 1}, {1, 3, 7}, {9, 1, 1}, {1, 3, 1}, {1, 1, 3}}, Labels{0, 1, 2, 1, 2}, 3);
  const ReLU<double> net;
  const EvaluationOptions options{
      .batch_size = 2,
      .standardization = Standardization{.mean = {1, 1, 1}, .standard_deviation = {2, 2, 2}}};
  const Evaluation result = evaluate(net, data, options, MulticlassHinge<double>{});
  EXPECT_EQ(result.predictions, (Labels{0, 2, 0, 1, 2}));
  EXPECT_DOUBLE_EQ(result.accuracy, 0.6);
  // Margins: (2,0,0) none; (0,1,3) at 1: 0 + 3; (4,0,0) at 2: 5 + 1; (0,1,0) at 1: 0; (0,0,1) at 2: 0.
  EXPECT_DOUBLE_EQ(result.loss, 9.0 / 5);
}

TEST(Evaluation, DoesNotDependOnTheBatchSizeAndChangesNothing) {
  Sequential<float> net = image_net<float>();
  const auto data = noise_images(33, 5);
  const std::vector<double> before = contents(net);
  const Evaluation one = evaluate(net, data, {.batch_size = 1}),
                   all = evaluate(net, data, {.batch_size = 64});
  EXPECT_EQ(one.predictions, all.predictions);
  EXPECT_NEAR(one.loss, all.loss, 1e-6);
  EXPECT_EQ(contents(net), before);
}

TEST(Evaluation, ASampleWithNaNIsNeverRight) {
  auto samples = Random(1).normal<float>({10, 8});
  samples(3, 2) = std::numeric_limits<float>::quiet_NaN();
  Linear<float> net{8, kClasses};
  net.initialize(1);
  Labels labels =
      evaluate<float>(net, std::make_shared<TensorDataset>(samples, Labels(10, 0), kClasses)).predictions;
  EXPECT_EQ(labels[3], kNoClass);
  labels[3] = 0;
  const auto data = std::make_shared<TensorDataset>(samples, labels, kClasses);
  const Evaluation result = evaluate<float>(net, data);
  EXPECT_DOUBLE_EQ(result.accuracy, 0.9);
  EXPECT_TRUE(std::isnan(result.loss));
  EXPECT_THAT(
      [&] { evaluate<float>(net, data, {.batch_size = 3, .check_finite = true}); },
      ThrowsMessage<NotFiniteError>(HasSubstr("evaluation, batch 2: a sample holds NaN or infinity")));
}

TEST(Evaluation, NamesWhatIsNotFinite) {
  Sequential<double> net{Linear<double>{8, 16}, Linear<double>{16, kClasses}};
  net.initialize(1);
  const auto told = [&](const std::string& message) {
    for (const Index batch_size : {3, 64})
      EXPECT_THAT(
          [&] { evaluate<double>(net, points(10, 1), {.batch_size = batch_size, .check_finite = true}); },
          ThrowsMessage<NotFiniteError>(HasSubstr("evaluation, batch 1: " + message)));
  };
  Tensor<double>& weight = dynamic_cast<Linear<double>&>(net[1]).weight().value;
  weight.fill(1e308);
  told("Linear '1': the output holds ");
  weight(0, 0) = std::numeric_limits<double>::infinity();
  told("parameter '1.weight' is NaN or infinite");
}

TEST(EvaluationMisuse, IsRefused) {
  const Linear<float> net{9, kClasses};
  EXPECT_THAT([&] { evaluate<float>(net, nullptr); },
              ThrowsMessage<ArgumentError>(HasSubstr("evaluate: the data set is null")));
  EXPECT_THAT([&] { evaluate<float>(net, points(5, 1), {.batch_size = 0}); },
              ThrowsMessage<ArgumentError>(HasSubstr("evaluate: batch_size must be at least 1, got 0")));
  EXPECT_THAT([&] { evaluate<float>(net, points(5, 1)); },
              ThrowsMessage<ShapeError>(HasSubstr("Linear: expected (N, 9), got (5, 8)")));
}

std::string written(const History& history) {
  const std::string path = testing::TempDir() + "strata_history.csv";
  history.write_csv(path);
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  std::remove(path.c_str());
  return text.str();
}

TEST(HistoryFile, HasALineOfNamesAndALineAnEpoch) {
  History history;
  history.epochs.push_back({.epoch = 1,
                            .train_loss = 1.5,
                            .train_accuracy = 0.25,
                            .validation_loss = 2,
                            .validation_accuracy = 0.125,
                            .learning_rate = 0.1,
                            .seconds = 3});
  history.epochs.push_back(
      {.epoch = 2, .train_loss = 1.0 / 3, .train_accuracy = 0.5, .learning_rate = 1e-5, .seconds = 4});
  EXPECT_EQ(written(history),
            "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,learning_rate,seconds\n"
            "1,1.5,0.25,2,0.125,0.10000000000000001,3\n"
            "2,0.33333333333333331,0.5,,,1.0000000000000001e-05,4\n");
}

TEST(HistoryFile, AFileThatCannotBeWrittenIsAnError) {
  EXPECT_THAT([] { History{}.write_csv("/nowhere/history.csv"); },
              ThrowsMessage<DataError>(
                  HasSubstr("'/nowhere/history.csv': cannot create a file there: No such file")));
}

}  // namespace
}  // namespace strata
