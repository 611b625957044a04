#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/io/weights.hpp"
#include "strata/optim/checkpoint_folder.hpp"
#include "strata/optim/sgd.hpp"
#include "tests/framework/temporary_folder.hpp"
#include "tests/optim/solver_fixtures.hpp"

namespace strata {
namespace {

using namespace testing_solver;
using testing::HasSubstr;

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Checkpoints, TheLastAndTheBestAreKept) {
  const TemporaryFolder folder;
  write_text(folder / ".step-000000003.safetensors.1-0.tmp", "left by a process that was killed");
  write_text(folder / "notes.tmp", "someone else's");
  Sequential<float> net = dense_net<float>();
  Solver<float> solver(net, {points(50, 2), points(30, 3)}, SGD<float>{{.learning_rate = 0.1}},
                       {.epochs = 3,
                        .batch_size = 10,
                        .checkpoints = CheckpointOptions{.folder = folder.path(), .keep_last = 2}});
  solver.train();
  EXPECT_THAT(names_in(folder.path()),
              testing::ElementsAre("best.safetensors", "notes.tmp", "step-000000010.safetensors",
                                   "step-000000015.safetensors"));
  Sequential<float> best = dense_net<float>();
  load_weights(best, folder / "best.safetensors");
  EXPECT_EQ(contents<float>(best), contents<float>(net));
}

TEST(Checkpoints, TrainingDoesNotMixWithAnotherRun) {
  const TemporaryFolder folder;
  const auto solver = [&](Sequential<float>& net) {
    return Solver<float>(net, {points(50, 2), nullptr}, SGD<float>{{.learning_rate = 0.1}},
                         {.epochs = 1, .batch_size = 10, .checkpoints = CheckpointOptions{folder.path()}});
  };
  Sequential<float> net = dense_net<float>(), second = dense_net<float>();
  auto first = solver(net);
  EXPECT_FALSE(first.resume());
  first.train();
  EXPECT_THROW(solver(second).train(), StateError);
  EXPECT_THROW(Solver<float>(net, {points(50, 2), nullptr}, SGD<float>{{.learning_rate = 0.1}}).resume(),
               StateError);
}

class ResumeFromFolder : public testing::Test {
 protected:
  Solver<float> make(Sequential<float>& net, std::map<std::string, std::string> run_options = {}) const {
    return {net,
            {points(50, 2), points(30, 3)},
            SGD<float>{{.learning_rate = 0.1}},
            {.epochs = 3,
             .batch_size = 10,
             .checkpoints = CheckpointOptions{
                 .folder = folder_.path(), .every = steps(4), .run_options = std::move(run_options)}}};
  }
  std::filesystem::path of_step(Index step) const {
    return detail::CheckpointFolder({folder_.path()}).path_of(step);
  }

  TemporaryFolder folder_;
};

TEST_F(ResumeFromFolder, EveryFewStepsAndEachEpochsEndOneIsWritten) {
  Sequential<float> net = dense_net<float>();
  make(net).train();
  EXPECT_THAT(names_in(folder_.path()),
              testing::ElementsAre("best.safetensors", "step-000000010.safetensors",
                                   "step-000000012.safetensors", "step-000000015.safetensors"));
}

TEST_F(ResumeFromFolder, DamagedOnesAreSetAside) {
  Sequential<float> whole = dense_net<float>();
  make(whole).train();
  std::filesystem::resize_file(of_step(15), 1000);
  std::string flipped = read_text(of_step(12));
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  write_text(of_step(12), flipped);
  Sequential<float> net = dense_net<float>();
  net.initialize(99);
  Solver<float> solver = make(net);
  const auto report = solver.resume();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->file, of_step(10));
  EXPECT_THAT(report->damaged,
              testing::ElementsAre(HasSubstr(of_step(15).string()), HasSubstr(of_step(12).string())));
  EXPECT_THAT(report->remarks, testing::IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(of_step(15)));
  EXPECT_TRUE(std::filesystem::exists(of_step(15).string() + ".damaged"));
  solver.train();
  EXPECT_EQ(contents<float>(net), contents<float>(whole));
}

TEST_F(ResumeFromFolder, IfAllAreDamagedNothingIsGuessed) {
  Sequential<float> net = dense_net<float>();
  make(net).train();
  for (const Index step : {10, 12, 15}) write_text(of_step(step), "x");
  const auto before = contents<float>(net);
  try {
    make(net).resume();
    FAIL() << "expected DataError";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(HasSubstr("no checkpoint can be read"), HasSubstr(of_step(15).string())));
  }
  EXPECT_EQ(contents<float>(net), before);
  EXPECT_TRUE(std::filesystem::exists(of_step(15)));
}

TEST_F(ResumeFromFolder, OfOtherRunOptionsIsRefused) {
  Sequential<float> net = dense_net<float>();
  make(net, {{"model", "dense"}, {"color", "red"}}).train();
  EXPECT_TRUE(make(net, {{"model", "dense"}}).resume());
  EXPECT_THAT(
      [&] {
        make(net, {{"model", "wide"}}).resume();
      },
      testing::ThrowsMessage<DataError>(HasSubstr("its option.model is 'dense', here it is 'wide'")));
  EXPECT_THAT(
      [&] {
        make(net, {{"taste", "salty"}}).resume();
      },
      testing::ThrowsMessage<DataError>(HasSubstr("it has no option.taste, here it is 'salty'")));
}

}  // namespace
}  // namespace strata
