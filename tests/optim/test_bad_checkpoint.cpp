#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/io/checksum.hpp"
#include "strata/framework/io/safetensors.hpp"
#include "strata/framework/version.hpp"
#include "strata/optim/adam.hpp"
#include "strata/optim/sgd.hpp"
#include "tests/framework/temporary_folder.hpp"
#include "tests/optim/solver_fixtures.hpp"

namespace strata {
namespace {

using namespace testing_solver;
using testing::HasSubstr;

// A small run, and what becomes of its checkpoint after a change.
class BadCheckpoint : public testing::Test {
 protected:
  BadCheckpoint() {
    Sequential<float> net = dense_net<float>();
    Solver<float> solver = make(net, Adam<float>{});
    solver.train();
    solver.save_checkpoint(path_);
    state_ = read_safetensors(path_);
    detail::verify_checksum(state_, "");
  }

  static Solver<float> make(Sequential<float>& net, const Optimizer<float>& optimizer,
                            SolverOptions<float> options = {.epochs = 2, .batch_size = 10}) {
    return {net, {points(50, 2), points(30, 3)}, optimizer, std::move(options)};
  }

  // With the checksum that fits, for the reader to see the change behind it.
  void write() const {
    StateDict state = state_;
    detail::add_checksum(state);
    write_safetensors(state, path_);
  }

  std::string error_of(const Optimizer<float>& optimizer = Adam<float>{},
                       SolverOptions<float> options = {.epochs = 2, .batch_size = 10}) {
    write();
    return error_of_file(optimizer, std::move(options));
  }

  std::string error_of_file(const Optimizer<float>& optimizer = Adam<float>{},
                            SolverOptions<float> options = {.epochs = 2, .batch_size = 10}) {
    Sequential<float> net = dense_net<float>();
    net.initialize(77);
    const auto before = contents<float>(net);
    Solver<float> solver = make(net, optimizer, std::move(options));
    try {
      solver.load_checkpoint(path_);
      return "no error";
    } catch (const DataError& error) {
      EXPECT_EQ(contents<float>(net), before);
      EXPECT_TRUE(solver.history().epochs.empty());
      EXPECT_TRUE(solver.optimizer().state().empty());
      net.add(Linear<float>{kClasses, kClasses});
      EXPECT_NO_THROW(solver.train()) << "nor does it hold the Solver to the network of that time";
      EXPECT_THAT(error.what(), testing::StartsWith("'" + path_.string() + "': "));
      return error.what();
    }
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "c";
  StateDict state_;
};

TEST_F(BadCheckpoint, UnchangedItLoads) {
  EXPECT_EQ(error_of(), "no error");
  EXPECT_FALSE(state_.metadata.at("blas").empty());
  EXPECT_FALSE(state_.metadata.at("instruction_set").empty());
}

TEST_F(BadCheckpoint, OfAnotherMachineLoadsWithARemark) {
  const auto remarks = [&] {
    write();
    Sequential<float> net = dense_net<float>();
    Solver<float> solver = make(net, Adam<float>{});
    return solver.load_checkpoint(path_);
  };
  EXPECT_THAT(remarks(), testing::IsEmpty());
  state_.metadata["instruction_set"] = "abacus";
  state_.metadata["strata"] = "0.0.1";
  state_.metadata["compiler"] = "0.1";
  state_.metadata.erase("blas");
  EXPECT_THAT(remarks(),
              testing::ElementsAre(
                  testing::StartsWith("the instruction_set of the checkpoint is 'abacus', here it is '"),
                  testing::StartsWith("the blas of the checkpoint is not known, here it is 'OpenBLAS"),
                  testing::StartsWith("the compiler of the checkpoint is '0.1', here it is '"),
                  HasSubstr("'0.0.1', here it is '" + std::string(version()) + "'; the last bits")));
}

TEST_F(BadCheckpoint, OfAnotherRunIsRefused) {
  EXPECT_THAT(error_of(SGD<float>{{.learning_rate = 0.001}}),
              HasSubstr("its optimizer is 'Adam', here it is 'SGD'"));
  EXPECT_THAT(error_of(Adam<float>{{.learning_rate = 0.5}}),
              HasSubstr("its learning_rate is '0.001', here it is '0.5'"));
  EXPECT_THAT(error_of(Adam<float>{}, {.epochs = 2, .batch_size = 25}), HasSubstr("its batch_size is '10'"));
  EXPECT_THAT(error_of(Adam<float>{}, {.epochs = 2, .batch_size = 10, .seed = 1}),
              HasSubstr("its seed is '0'"));
  EXPECT_EQ(error_of(Adam<float>{}, {.epochs = 9, .batch_size = 10}), "no error");
}

TEST_F(BadCheckpoint, OfAnotherNetworkIsRefusedWithAllThatDiffers) {
  state_.tensors.erase("model.0.weight");
  state_.tensors.erase("optimizer.1.exp_avg");
  state_.tensors.erase("best.1.running_mean");
  state_.put("model.9.weight", Tensor<float>{1});
  EXPECT_THAT(
      error_of(),
      testing::AllOf(HasSubstr("4 tensors do not fit"), HasSubstr("missing 'model.0.weight'"),
                     HasSubstr("missing 'optimizer.1.exp_avg'"), HasSubstr("missing 'best.1.running_mean'"),
                     HasSubstr("unexpected 'model.9.weight'")));
}

TEST_F(BadCheckpoint, WithoutANoteIsRefused) {
  const StateDict good = state_;
  for (const auto& [name, value] : good.metadata) {
    if (name == "blas" || name == "compiler" || name == "fusion" || name == "instruction_set" ||
        name == "reference" || name == "strata")
      continue;
    state_ = good;
    state_.metadata.erase(name);
    EXPECT_THAT(error_of(),
                HasSubstr(name.starts_with("run.") ? "it has no " + name.substr(4) + ", here it is '"
                                                   : "the note '" + name + "' is missing"));
    state_.metadata[name] = "12x";
    EXPECT_NE(error_of(), "no error") << name;
  }
}

TEST_F(BadCheckpoint, WithNumbersOutOfRangeIsRefused) {
  const StateDict good = state_;
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"epoch", "-1"},
                                                        {"epoch", "9223372036854775807"},
                                                        {"epoch", "3"},
                                                        {"epoch", ""},
                                                        {"batch", "6"},
                                                        {"batch", "1"},
                                                        {"batch", "-1"},
                                                        {"best_epoch", "3"},
                                                        {"last_learning_rate", "nan"},
                                                        {"last_learning_rate", "-1"},
                                                        {"last_learning_rate", "-0.25"},
                                                        {"correct", "1e3"},
                                                        {"loss_sum", "1.0f"},
                                                        {"stopped_early", "maybe"},
                                                        {"format", "strata checkpoint 3"},
                                                        {"format", "pt"}}) {
    state_ = good;
    state_.metadata[name] = value;
    EXPECT_NE(error_of(), "no error") << name << " = " << value;
  }
}

// A schedule may end at a rate of 0.
TEST_F(BadCheckpoint, ALearningRateOfZeroIsOne) {
  state_.metadata["last_learning_rate"] = "0";
  EXPECT_EQ(error_of(), "no error");
}

TEST_F(BadCheckpoint, WithAnotherHistoryIsRefused) {
  const StateDict good = state_;
  for (const char* name : {"history.step_losses", "history.epochs"}) {
    state_ = good;
    state_.tensors.erase(name);
    EXPECT_THAT(error_of(), HasSubstr(std::string("tensor '") + name + "' is missing"));
    state_.put(name, Tensor<double>{1, 2});
    EXPECT_THAT(error_of(), HasSubstr("its history does not have the 10 steps of its position"));
    state_.tensors.erase(name);
    state_.put(name, Tensor<float>{1, 2});
    EXPECT_THAT(error_of(), HasSubstr("expected F64, found F32"));
  }
}

TEST_F(BadCheckpoint, WeightsAreNoCheckpoint) {
  state_ = {};
  EXPECT_THAT(error_of(), HasSubstr("is not a checkpoint"));
}

// Data, names, notes or the padding between: one bit of every third byte in turn.
TEST_F(BadCheckpoint, WithAFlippedBitIsRefused) {
  const std::string good = read_text(path_);
  std::size_t damaged = 0, data = 0;
  for (std::size_t at = 0; at < good.size(); at += 3) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1 << at % 8);
    write_text(path_, bad);
    const std::string error = error_of_file();
    EXPECT_NE(error, "no error") << "byte " << at;
    damaged += error.find("is damaged: expected contents with the checksum") != std::string::npos;
  }
  for (const auto& [name, tensor] : state_.tensors) data += tensor.bytes.size();
  EXPECT_GE(damaged, data / 3);
}

TEST_F(BadCheckpoint, WithoutAChecksumIsRefused) {
  write_safetensors(state_, path_);
  EXPECT_THAT(error_of_file(), HasSubstr("is not a checkpoint: it has no checksum"));
}

}  // namespace
}  // namespace strata
