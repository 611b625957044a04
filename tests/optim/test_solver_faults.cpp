#include <limits>
#include <new>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/error.hpp"
#include "strata/optim/adam.hpp"
#include "strata/optim/sgd.hpp"
#include "tests/optim/solver_fixtures.hpp"

namespace strata {
namespace {

using namespace testing_solver;
using testing::HasSubstr;
using testing::ThrowsMessage;

template <class T>
class SolverFaults : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(SolverFaults, Scalars);

// Trains until the bad value comes, in the second step of the second epoch.
template <class T>
void expect_not_finite(Sequential<T>& net, std::shared_ptr<const Dataset> data, const std::string& message,
                       std::shared_ptr<Optimizer<T>> optimizer = Adam<T>{}.clone()) {
  std::vector<double> before;
  Solver<T> solver{
      net,
      {data, points(10, 3)},
      *optimizer,
      {.epochs = 9, .batch_size = 16, .after_step = [&](const StepReport&) { before = contents(net); }}};
  EXPECT_THAT([&] { solver.train(); }, ThrowsMessage<NotFiniteError>(HasSubstr(message)));
  EXPECT_EQ(contents(net), before) << "parameters and buffers are those before the bad step";
  EXPECT_FALSE(solver.history().step_losses.empty());
}

template <class T>
auto poison(std::int64_t at, double value) {
  return [=](Tensor<T>& x, std::int64_t batch) {
    if (batch == at) x.data()[3] = static_cast<T>(value);
  };
}

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TYPED_TEST(SolverFaults, NamesTheLayerWhereTheFirstNaNAppeared) {
  using T = TypeParam;
  Sequential<T> forward = dense_net<T>(Running<T>{poison<T>(5, kNaN)});
  expect_not_finite<T>(forward, points(64, 2),
                       "epoch 2, step 2: Running '1': the output holds nan at element 3");

  Sequential<T> backward = dense_net<T>();
  dynamic_cast<Running<T>&>(backward.find("1")).watch_backward = poison<T>(5, kInfinity);
  expect_not_finite<T>(backward, points(64, 2),
                       "epoch 2, step 2: Running '1': the input gradient holds inf at element 3");
}

TYPED_TEST(SolverFaults, AFirstStepThatFailedDoesNotHoldTheNetworkToItsStructure) {
  using T = TypeParam;
  Sequential<T> net = dense_net<T>(Running<T>{poison<T>(0, kNaN)});
  Solver<T> solver{net, {points(40, 2), nullptr}, Adam<T>{}, {.epochs = 1, .batch_size = 20}};
  EXPECT_THROW(solver.train(), NotFiniteError);
  net.replace("1", ReLU<T>{});
  net.add(Linear<T>{kClasses, kClasses});
  EXPECT_EQ(solver.train().step_losses.size(), 2u);
}

// Passes everything through, but the gradient of its parameter is NaN in the sixth batch.
template <class T>
class BadGradient final : public Layer<T> {
 public:
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<BadGradient>(*this); }
  std::string type() const override { return "BadGradient"; }

 protected:
  Tensor<T> do_forward(Tensor<T> x, Record&) override { return x; }
  Tensor<T> do_infer(Tensor<T> x) const override { return x; }
  Tensor<T> do_backward(Tensor<T> dy, Record&) override {
    weight_.gradient(0) = ++calls_ > 5 ? std::numeric_limits<T>::quiet_NaN() : T{0};
    return dy;
  }
  std::vector<Parameter<T>*> own_parameters() override { return {&weight_}; }

 private:
  Parameter<T> weight_{"weight", full<T>({1}, T{1})};
  int calls_ = 0;
};

TYPED_TEST(SolverFaults, NamesTheParameterWhoseGradientIsNotFinite) {
  using T = TypeParam;
  Sequential<T> net{Linear<T>{8, kClasses}, BadGradient<T>{}};
  expect_not_finite<T>(net, points(64, 2),
                       "epoch 2, step 2: the gradient of parameter '1.weight' is NaN or infinite");
}

TYPED_TEST(SolverFaults, SaysWhenTheDataOrTheParametersAreNotFinite) {
  using T = TypeParam;
  auto samples = Random(1).normal<float>({40, 8});
  samples(17, 4) = std::numeric_limits<float>::infinity();
  Sequential<T> net = dense_net<T>();
  Solver<T> bad_data{
      net, {std::make_shared<TensorDataset>(samples, Labels(40, 1), kClasses), nullptr}, SGD<T>{}};
  EXPECT_THAT([&] { bad_data.train(); }, ThrowsMessage<NotFiniteError>(HasSubstr("a sample holds NaN")));

  dynamic_cast<Linear<T>&>(net[3]).weight().value(1, 1) = std::numeric_limits<T>::quiet_NaN();
  Solver<T> bad_parameter{net, {points(40, 2), nullptr}, SGD<T>{}};
  EXPECT_THAT(
      [&] { bad_parameter.train(); },
      ThrowsMessage<NotFiniteError>(HasSubstr("epoch 1, step 1: parameter '3.weight' is NaN or infinite")));
}

// A loss that is not finite by its own fault.
template <class T>
class NaNLoss final : public Loss<T> {
 public:
  LossResult<T> operator()(const Tensor<T>& scores, const Labels&) const override { return {kNaN, scores}; }
  std::string type() const override { return "NaNLoss"; }
  std::unique_ptr<Loss<T>> clone() const override { return std::make_unique<NaNLoss>(*this); }
};

TYPED_TEST(SolverFaults, SaysWhenOnlyTheLossIsNotFinite) {
  using T = TypeParam;
  Sequential<T> net = dense_net<T>();
  Solver<T> solver{net, {points(40, 2), nullptr}, SGD<T>{}, {.loss = NaNLoss<T>{}}};
  EXPECT_THAT([&] { solver.train(); },
              ThrowsMessage<NotFiniteError>(HasSubstr("epoch 1, step 1: the loss is NaN or infinite")));
}

TYPED_TEST(SolverFaults, ALayerThatThrowsLeavesParametersAndBuffersAsTheyWere) {
  using T = TypeParam;
  // The layer behind the running average fails in its third batch.
  Sequential<T> net{Linear<T>{8, kClasses}, Running<T>{},
                    Running<T>{[](const Tensor<T>&, std::int64_t batch) {
                      if (batch == 2) throw std::bad_alloc();
                    }}};
  std::vector<double> before;
  Solver<T> solver{net,
                   {points(64, 2), nullptr},
                   Adam<T>{},
                   {.batch_size = 16, .after_step = [&](const StepReport&) { before = contents(net); }}};
  EXPECT_THROW(solver.train(), std::bad_alloc);
  EXPECT_EQ(contents(net), before);
  EXPECT_EQ(solver.history().step_losses.size(), 2u);
}

template <class Exception, class F>
void expect_refused(F call, const std::string& message) {
  EXPECT_THAT(call, ThrowsMessage<Exception>(HasSubstr(message)));
}

class NoSamples final : public Dataset {
 public:
  Index size() const override { return 0; }
  Shape sample_shape() const override { return {8}; }
  Index classes() const override { return kClasses; }
  std::int32_t label(Index) const override { return 0; }
  void read(Index, std::span<float>) const override {}
};

TEST(SolverMisuse, DataThatDoNotFitTheNetwork) {
  using Net = Sequential<float>;
  const Split data{points(40, 2), points(20, 3)};
  const SGD<float> sgd;
  Net narrow{Linear<float>{9, kClasses}};
  expect_refused<ShapeError>([&] { Solver<float>(narrow, data, sgd, {.batch_size = 16}); },
                             "Linear '0': expected (N, 9), got (16, 8)");
  Net four_classes{Linear<float>{8, 4}};
  expect_refused<ShapeError>(
      [&] { Solver<float>(four_classes, data, sgd); },
      "Solver: Sequential must give one score for each of the 3 classes, (40, 3) for an "
      "input (40, 8), but gives (40, 4)");
  Net images{ReLU<float>{}};
  expect_refused<ShapeError>(
      [&] {
        Solver<float>(images, {noise_images(4, 1), nullptr}, sgd);
      },
      "(4, 3) for an input (4, 2, 8, 8), but gives (4, 2, 8, 8)");

  Net net{Linear<float>{8, kClasses}};
  expect_refused<ArgumentError>(
      [&] {
        Solver<float>(net, {nullptr, nullptr}, sgd);
      },
      "Solver: the data set is null");
  const auto none = std::make_shared<NoSamples>();
  expect_refused<ArgumentError>(
      [&] {
        Solver<float>(net, {none, nullptr}, sgd);
      },
      "Solver: the data set is empty");
  expect_refused<ArgumentError>(
      [&] {
        Solver<float>(net, {points(9, 1), none}, sgd);
      },
      "Solver, validation: the data set is empty");
  const auto two_classes = std::make_shared<TensorDataset>(empty<float>({1, 8}), Labels{0}, 2);
  expect_refused<ArgumentError>(
      [&] {
        Solver<float>(net, {points(9, 1), two_classes}, sgd);
      },
      "Solver: the training data have 3 classes, the validation data 2");
  const auto wider = std::make_shared<TensorDataset>(empty<float>({5, 7}), Labels(5, 0), kClasses);
  expect_refused<ShapeError>(
      [&] {
        Solver<float>(net, {points(9, 1), wider}, sgd);
      },
      "Linear '0': expected (N, 8), got (5, 7)");
}

TEST(SolverMisuse, OptionsOutOfRange) {
  Sequential<float> net{Linear<float>{8, kClasses}};
  const Split data{points(40, 2), points(20, 3)};
  const auto refused = [&](SolverOptions<float> options, const std::string& message) {
    expect_refused<ArgumentError>([&] { Solver<float>(net, data, SGD<float>{}, options); }, message);
  };
  refused({.epochs = -1}, "Solver: epochs must be at least 0, got -1");
  refused({.epochs = std::numeric_limits<Index>::max()},
          "Solver: epochs must be at most 1000000000, got 9.2");
  refused({.batch_size = 0}, "Solver: batch_size must be at least 1, got 0");
  refused({.max_gradient_norm = 0}, "Solver: max_gradient_norm must be above 0, got 0");
  refused({.patience = 0}, "Solver: patience must be at least 1, got 0");
  refused({.validation_batch_size = -5}, "Solver, validation: batch_size must be at least 1, got -5");
  refused({.standardization = Standardization{.mean = {0, 0}, .standard_deviation = {1, 1}}},
          "samples of shape (8) need one mean and one standard deviation per channel, got 2 and 2");
  expect_refused<ArgumentError>(
      [&] {
        Solver<float>(net, {data.train, nullptr}, SGD<float>{}, {.patience = 2});
      },
      "Solver: patience needs validation data");

  Solver<float> solver{net, data, SGD<float>{}, {.epochs = 1, .keep_best = false}};
  solver.train();
  expect_refused<StateError>([&] { solver.restore_best(); }, "Solver: there is no best model to restore");
}

}  // namespace
}  // namespace strata
