// A checkpoint that is refused must leave the network and the Solver as they were.
#include "strata/framework/data/in_memory.hpp"
#include "strata/framework/error.hpp"
#include "strata/framework/graph/sequential.hpp"
#include "strata/framework/io/weights.hpp"
#include "strata/layers/dropout.hpp"
#include "strata/layers/linear.hpp"
#include "strata/optim/adam.hpp"
#include "strata/optim/solver.hpp"
#include "tests/fuzz/fuzzing.hpp"

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned seed) {
  return strata::fuzz::mutate_checkpoint(data, size, most, seed);
}

namespace {

using namespace strata;

std::shared_ptr<const Dataset> four_points() {
  return std::make_shared<TensorDataset>(full<float>({4, 2}, 0.5F), Labels{0, 1, 0, 1}, 2);
}

// Of this run's kind is corpus/checkpoint/good, after its first epoch and one step.
struct Run {
  Sequential<float> net{Linear<float>{2, 2}, Dropout<float>{0.5}};
  Solver<float> solver{net,
                       {four_points(), four_points()},
                       Adam<float>{},
                       {.epochs = 2, .batch_size = 2, .schedule = ReduceOnPlateau{}}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Run run;
  const std::string& path = fuzz::as_file({data, size});
  static StateDict before = capture(state_of(run.net, StateScope::all));
  const auto epochs = run.solver.history().epochs.size();
  try {
    const fuzz::AllocationGuard guard(size, fuzz::kTimesOfJson);
    run.solver.load_checkpoint(path);
    before = capture(state_of(run.net, StateScope::all));
  } catch (const DataError&) {
    fuzz::require(capture(state_of(run.net, StateScope::all)) == before);
    fuzz::require(run.solver.history().epochs.size() == epochs);
  }
  return 0;
}
