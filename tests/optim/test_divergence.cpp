// A training that diverges ends as a failure; one that has ended stays as it is.
#include <filesystem>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/metrics.hpp"
#include "strata/optim/adam.hpp"
#include "strata/optim/sgd.hpp"
#include "tests/framework/temporary_folder.hpp"
#include "tests/optim/solver_fixtures.hpp"

namespace strata {
namespace {

using namespace testing_solver;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

template <class T>
class Divergence : public testing::Test {};
template <class T>
class EndedTraining : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(Divergence, Scalars);
TYPED_TEST_SUITE(EndedTraining, Scalars);

// Passes everything through in training; in evaluation one value becomes another.
template <class T>
class Spoiling final : public Layer<T> {
 public:
  explicit Spoiling(double value) : value_(static_cast<T>(value)) {}
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Spoiling>(*this); }
  std::string type() const override { return "Spoiling"; }

 protected:
  Tensor<T> do_forward(Tensor<T> x, Record&) override { return x; }
  Tensor<T> do_backward(Tensor<T> dy, Record&) override { return dy; }
  Tensor<T> do_infer(Tensor<T> x) const override {
    x.data()[1] = value_;
    return x;
  }

 private:
  T value_;
};

TYPED_TEST(Divergence, AValidationResultThatIsNotFiniteIsAFailureThatNamesTheLayer) {
  using T = TypeParam;
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    for (const Monitor monitor : {Monitor::accuracy, Monitor::loss}) {
      Sequential<T> net{Linear<T>{8, 16}, ReLU<T>{}, Linear<T>{16, kClasses}, Spoiling<T>{value}};
      net.initialize(4);
      Solver<T> solver{net,
                       {points(40, 2), points(20, 3)},
                       Adam<T>{},
                       {.epochs = 3, .batch_size = 10, .monitor = monitor, .patience = 1}};
      for (int call = 0; call < 2; ++call)
        EXPECT_THAT([&] { solver.train(); },
                    ThrowsMessage<NotFiniteError>(
                        AllOf(HasSubstr("epoch 1: evaluation, batch 1: Spoiling '3': the output holds "),
                              HasSubstr(" at element 1"))));
      EXPECT_EQ(solver.history().best_epoch, 0);
      EXPECT_FALSE(solver.history().stopped_early);
      EXPECT_TRUE(solver.history().epochs.empty());
      EXPECT_EQ(solver.history().step_losses.size(), 4u);
      EXPECT_THROW(solver.restore_best(), StateError);
    }
}

// Who sees it and stops gets the history; nobody asked for a checkpoint.
TYPED_TEST(Divergence, AStopWithoutCheckpointsIsNoFailure) {
  using T = TypeParam;
  Sequential<T> net{Linear<T>{8, kClasses}};
  SolverOptions<T> options{.epochs = 1, .batch_size = 10};
  options.after_step = [&](StepReport& report) {
    net.parameters()[0]->value.fill(std::numeric_limits<T>::quiet_NaN());
    report.stop = true;
  };
  Solver<T> solver{net, {points(40, 2), nullptr}, SGD<T>{}, options};
  EXPECT_EQ(solver.train().step_losses.size(), 1u);
}

// The step after which all is lost is the only one, so that no later one notices.
TYPED_TEST(Divergence, ARateThatIsFarTooHighIsAFailure) {
  using T = TypeParam;
  Sequential<T> net{Linear<T>{8, 64},  ReLU<T>{}, Linear<T>{64, 64},      ReLU<T>{},
                    Linear<T>{64, 64}, ReLU<T>{}, Linear<T>{64, kClasses}};
  net.initialize(4);
  Solver<T> solver{net,
                   {points(50, 2), points(20, 3)},
                   SGD<T>{{.learning_rate = sizeof(T) == 4 ? 1e30 : 1e200}},
                   {.epochs = 1}};
  EXPECT_THAT([&] { solver.train(); },
              ThrowsMessage<NotFiniteError>(HasSubstr("epoch 1: evaluation, batch 1: Linear '")));
  EXPECT_EQ(solver.history().best_epoch, 0);
}

TYPED_TEST(Divergence, ASampleForValidationThatIsNotFiniteIsNamed) {
  using T = TypeParam;
  auto samples = Random(1).normal<float>({40, 8});
  samples(17, 4) = std::numeric_limits<float>::infinity();
  Sequential<T> net = dense_net<T>();
  Solver<T> solver{net,
                   {points(40, 2), std::make_shared<TensorDataset>(samples, Labels(40, 1), kClasses)},
                   SGD<T>{},
                   {.validation_batch_size = 10}};
  EXPECT_THAT([&] { solver.train(); }, ThrowsMessage<NotFiniteError>(HasSubstr(
                                           "epoch 1: evaluation, batch 2: a sample holds NaN or infinity")));
}

// Its third update is of infinite length.
template <class T>
class Exploding final : public Optimizer<T> {
 public:
  Exploding() { this->set_learning_rate(1); }
  std::unique_ptr<Optimizer<T>> clone() const override { return std::make_unique<Exploding>(*this); }
  std::string type() const override { return "Exploding"; }

 protected:
  void update(Parameter<T>& parameter, typename Optimizer<T>::State& state) override {
    if (state.step == 3) parameter.value.fill(std::numeric_limits<T>::infinity());
  }
};

TYPED_TEST(Divergence, TheLastUpdateIsLookedAtTooWithoutValidation) {
  using T = TypeParam;
  Sequential<T> net = dense_net<T>();
  Solver<T> solver{net, {points(30, 2), nullptr}, Exploding<T>{}, {.epochs = 1, .batch_size = 10}};
  EXPECT_THAT([&] { solver.train(); },
              ThrowsMessage<NotFiniteError>(HasSubstr("epoch 1: parameter '0.weight' is NaN or infinite")));
  EXPECT_TRUE(solver.history().epochs.empty());
}

TYPED_TEST(Divergence, ARunningAverageThatIsNotFiniteIsAFailure) {
  using T = TypeParam;
  Sequential<T> net = dense_net<T>();
  Solver<T> solver{net, {points(30, 2), points(10, 3)}, SGD<T>{}, {.batch_size = 10}};
  solver.train();
  Solver<T> again{
      net,
      {points(30, 2), points(10, 3)},
      SGD<T>{},
      {.batch_size = 10, .after_step = [&](const StepReport&) {
         std::get<Tensor<T>*>(net.named_buffers()[0].value)->fill(std::numeric_limits<T>::quiet_NaN());
       }}};
  EXPECT_THAT([&] { again.train(); }, ThrowsMessage<NotFiniteError>(
                                          HasSubstr("epoch 1: buffer '1.running_mean' is NaN or infinite")));
}

TYPED_TEST(Divergence, NoCheckpointHoldsIt) {
  using T = TypeParam;
  const TemporaryFolder folder;
  const CheckpointOptions checkpoints{.folder = folder.path(), .every = steps(1), .keep_last = 100};
  Sequential<T> net = dense_net<T>();
  Solver<T> solver{net,
                   {points(50, 2), points(10, 3)},
                   Exploding<T>{},
                   {.epochs = 2, .batch_size = 10, .checkpoints = checkpoints}};
  for (int call = 0; call < 2; ++call)
    EXPECT_THAT(
        [&] { solver.train(); },
        ThrowsMessage<NotFiniteError>(HasSubstr("after step 3: parameter '0.weight' is NaN or infinite")));
  Sequential<T> other = dense_net<T>();
  Solver<T> second{other,
                   {points(50, 2), points(10, 3)},
                   Exploding<T>{},
                   {.epochs = 2, .batch_size = 10, .checkpoints = checkpoints}};
  ASSERT_TRUE(second.resume());
  EXPECT_EQ(second.history().step_losses.size(), 2u);
}

TEST(SolverFiles, AreTriedBeforeTheFirstStep) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "best.safetensors");
  Sequential<float> net = dense_net<float>();
  const auto before = contents<float>(net);
  Solver<float> solver{net,
                       {points(50, 2), points(10, 3)},
                       SGD<float>{{.learning_rate = 0.1}},
                       {.epochs = 1, .checkpoints = CheckpointOptions{.folder = folder.path()}}};
  EXPECT_THAT([&] { solver.train(); }, ThrowsMessage<DataError>(HasSubstr("best.safetensors")));
  EXPECT_TRUE(solver.history().step_losses.empty());
  EXPECT_EQ(contents<float>(net), before);
}

template <class T>
Solver<T> ending(Sequential<T>& net, std::optional<CheckpointOptions> checkpoints = std::nullopt) {
  return {net,
          {points(60, 2, 2.0), points(40, 3, 2.0)},
          SGD<T>{{.learning_rate = 0.3}},
          {.epochs = 4, .batch_size = 20, .checkpoints = std::move(checkpoints)}};
}

TYPED_TEST(EndedTraining, AnotherCallChangesNothing) {
  using T = TypeParam;
  const TemporaryFolder folder;
  const std::string checkpoints = folder / "c";
  Sequential<T> net = dense_net<T>();
  Solver<T> solver = ending(net, CheckpointOptions{.folder = checkpoints});
  const History history = solver.train();
  const auto best = contents<T>(net);

  std::filesystem::remove_all(checkpoints);
  net.initialize(50);
  net.eval();
  const auto fresh = contents<T>(net);
  EXPECT_EQ(solver.train().step_losses, history.step_losses);
  EXPECT_EQ(contents<T>(net), fresh);
  EXPECT_FALSE(net[0].training());
  EXPECT_FALSE(std::filesystem::exists(checkpoints));
  solver.restore_best();
  EXPECT_EQ(contents<T>(net), best);
}

TYPED_TEST(EndedTraining, ANetworkThatHasBecomeAnotherStaysOrIsRefused) {
  using T = TypeParam;
  Sequential<T> net = dense_net<T>();
  Solver<T> solver = ending(net);
  solver.train();
  net.add(Linear<T>{kClasses, kClasses});
  const auto longer = contents<T>(net);
  solver.train();
  EXPECT_EQ(contents<T>(net), longer);
  EXPECT_THAT([&] { solver.restore_best(); },
              ThrowsMessage<StateError>(HasSubstr("has changed since training began")));
  EXPECT_EQ(contents<T>(net), longer);
}

// The network of a finished checkpoint is that of the last epoch: what is left to do is to put the best back.
TYPED_TEST(EndedTraining, AFinishedCheckpointStillGivesTheBestModelOnce) {
  using T = TypeParam;
  const TemporaryFolder folder;
  const CheckpointOptions checkpoints{.folder = folder.path()};
  Sequential<T> net = dense_net<T>(), other = dense_net<T>();
  ending(net, checkpoints).train();
  Solver<T> second = ending(other, checkpoints);
  ASSERT_TRUE(second.resume());
  EXPECT_NE(contents<T>(other), contents<T>(net)) << "the best epoch is the last: the test shows nothing";
  second.train();
  EXPECT_EQ(contents<T>(other), contents<T>(net));
  other.initialize(50);
  const auto fresh = contents<T>(other);
  second.train();
  EXPECT_EQ(contents<T>(other), fresh);
}

}  // namespace
}  // namespace strata
