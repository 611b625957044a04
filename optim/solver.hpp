// Solver: trains a network.
#pragma once

#include <functional>
#include <optional>

#include "strata/framework/data/augmentation.hpp"
#include "strata/framework/data/dataset.hpp"
#include "strata/framework/data/loader.hpp"
#include "strata/framework/export.hpp"
#include "strata/framework/held.hpp"
#include "strata/framework/layer.hpp"
#include "strata/framework/loss.hpp"
#include "strata/optim/checkpoint.hpp"
#include "strata/optim/cloned.hpp"
#include "strata/optim/evaluation.hpp"
#include "strata/optim/history.hpp"
#include "strata/optim/optimizer.hpp"
#include "strata/optim/schedule.hpp"
#include "strata/optim/snapshot.hpp"

namespace STRATA_EXPORT strata {

/// What `after_step` is told.
struct StepReport {
  Index epoch;  ///< from 1
  Index epochs;
  Index step;  ///< within the epoch, from 1
  Index steps_per_epoch;
  double loss;
  double learning_rate;
  double gradient_norm;  ///< before clipping
  double samples_per_second;
  double seconds_left;
  bool stop = false;  ///< set it to leave train() after this step
};

/// What `after_epoch` is told.
struct EpochReport {
  const EpochRecord& record;
  Index epochs;
  bool best;  ///< this is the best epoch on validation so far
  double seconds_left;
  bool stop = false;  ///< set it to leave train() after this epoch
};

template <class T>
struct SolverOptions {
  Index epochs = 10;
  Index batch_size = 64;
  std::uint64_t seed = 0;  ///< of shuffling and augmentation
  Cloned<Schedule> schedule = ConstantRate{};
  Cloned<Loss<T>> loss = SoftmaxCrossEntropy<T>{};
  Augmentation augmentation = {};  ///< of the training samples
  std::optional<Standardization> standardization = std::nullopt;
  double max_gradient_norm = std::numeric_limits<double>::infinity();
  /// Measures which epoch is the best, for keep_best and patience.
  Monitor monitor = Monitor::accuracy;
  /// Ends with the parameters and buffers (running statistics) of the best epoch, not those of the last.
  /// Without validation data it has no effect.
  bool keep_best = true;
  /// Stops after this many epochs in a row that were not the best.
  std::optional<Index> patience = std::nullopt;
  std::optional<Index> validation_batch_size = std::nullopt;  ///< by default batch_size
  std::optional<CheckpointOptions> checkpoints = std::nullopt;
  std::function<void(StepReport&)> after_step = nullptr;
  std::function<void(EpochReport&)> after_epoch = nullptr;
};

/// Trains a network on labeled samples. In each epoch every training sample is seen once, in an order that
/// depends on (seed, epoch) alone; then the network is measured on the validation data through `infer`.
///
/// - A last batch of a single sample is left out: normalization over one value has no meaning.
/// - Modes are yours: layers train unless you called `eval()` on them, so that statistics can stay frozen.
/// - The learning rate of step t is schedule(t), with the optimizer's own rate as its base.
/// - The library never prints: after_step and after_epoch tell how it goes.
/// - Layers may be replaced between steps and between calls as long as names and shapes of parameters and
///   buffers stay; for another structure make a new Solver.
template <class T>
class Solver {
 public:
  /// Keeps a reference to `net`, and a copy of the optimizer with its state. Throws ShapeError, naming the
  /// layer, if the network does not make scores (N, classes) of the data, and ArgumentError for data or
  /// options out of range.
  Solver(Layer<T>& net, Split data, const Optimizer<T>& optimizer, SolverOptions<T> options = {});

  /// Trains until all epochs are done or patience is at its end; then, with keep_best, puts the best model
  /// back. If a callback stopped it, the network stays as it is and another call goes on from there, with
  /// the bits of an uninterrupted run; so can another process, through `checkpoints` and resume(). A call
  /// when nothing is left to do changes nothing.
  ///
  /// Throws NotFiniteError when the loss, a gradient or the validation loss is NaN or infinite, or at the end
  /// of an epoch or before a checkpoint a parameter or buffer: no such model is ever the best, nor in a file.
  /// The message names the epoch, the step and the layer where it appeared first. Throws DataError, before
  /// the first step, if the folder of `checkpoints` cannot be written, StateError if the network has other
  /// parameters or buffers than when training began. After any exception, from a layer, a callback or the
  /// system, the network, the optimizer and the Solver are as they were before the step or the end of the
  /// epoch that failed, or as after it, never between: another call goes on from there. An optimizer whose
  /// update throws is the exception.
  History train();

  /// Writes all that a later process needs to go on with the bits of an uninterrupted run: parameters and
  /// buffers, the optimizer's and the schedule's state, the position in the epoch, the history and the best
  /// model, with a checksum of it all. Atomic and durable. Throws DataError.
  ///
  /// What it does not hold is yours to give again: the network, data, optimizer, schedule and other options,
  /// modes and frozen parameters. Kept in it to be compared: what they were, and instruction set, fusion,
  /// BLAS, compiler and Strata's version, without which the last bits may differ.
  void save_checkpoint(const std::string& path);

  /// Takes the place of the Solver that wrote it; train() goes on from there. `epochs` and `patience` may be
  /// others. Throws DataError if the file is damaged, does not fit the network, or is of a run in which
  /// anything else that changes the result was another: it names each, with what was expected and found, and
  /// nothing has changed. That is the optimizer, schedule and loss with their settings, all options of the
  /// Solver and run_options, the data (by fingerprint), the layers' types, options and modes, and which
  /// parameters are frozen. Returns a sentence for each of instruction set, fusion, plain loops, BLAS,
  /// compiler and Strata's version that differs: then the last bits may differ from those of an uninterrupted
  /// run; and one for what a checkpoint of an older format does not tell.
  std::vector<std::string> load_checkpoint(const std::string& path);

  /// Loads the newest checkpoint in the folder of the option `checkpoints`; nothing if there is none. One
  /// that is damaged is set aside for the next older. Throws as load_checkpoint does, DataError if all are
  /// damaged, StateError without that option.
  std::optional<ResumeReport> resume();

  const History& history() const {
    (void)*optimizer_;  // throws if the value was moved away
    return history_;
  }
  Optimizer<T>& optimizer() { return *optimizer_; }

  /// Puts the parameters and buffers of the best epoch into the network. Throws StateError if there is none:
  /// without keep_best, without validation data, or before the first epoch ended.
  void restore_best();

 private:
  // Where training stands. With the network, the optimizer, the schedule, the history and the best model it
  // is all that is needed to go on.
  struct Position {
    Index epoch = 0;
    Index batch = 0;  // within the epoch; the sums below are over the batches before it
    double loss_sum = 0;
    Index correct = 0;
    Index samples = 0;
    double seconds = 0;
  };
  struct Stopwatch;

  /// Lists parameters and buffers, which callbacks may have replaced. Throws StateError if these are not
  /// those with which training began.
  void list_state();
  std::map<std::string, std::string> identity();
  std::vector<StateEntry> checkpoint_entries(detail::Snapshot<T>* best);
  std::vector<std::string> take_up(StateDict state, const std::string& path);
  void prepare_checkpoints();
  bool checkpoint_is_due() const;
  void write_files();

  bool run_steps(Stopwatch& watch);
  bool finish_epoch(Stopwatch& watch);
  StepReport step(Batch<T> batch);
  Evaluation validate(const std::string& where) const;
  bool is_best(const EpochRecord& record) const;
  [[noreturn]] void fail_not_finite(const std::string& what);

  Index steps_done() const { return position_.epoch * loader_.batches() + position_.batch; }
  Index steps_in_all() const { return options_.epochs * loader_.batches(); }
  bool finished() const { return position_.epoch >= options_.epochs || history_.stopped_early; }

  Layer<T>& net_;
  Split data_;
  SolverOptions<T> options_;
  detail::Held<Optimizer<T>> optimizer_;
  double base_rate_;
  DataLoader<T> loader_;
  std::vector<Parameter<T>*> parameters_;
  std::vector<Buffer<T>> buffers_;
  std::vector<std::string> structure_;  // names and shapes of both, since training began
  Position position_;
  History history_;
  detail::Snapshot<T> best_;
  std::string data_fingerprint_;  // once it is asked for
  Record record_;
  detail::Snapshot<T> before_step_;  // of the buffers: forward changes them
  // Files that the checkpoints' folder is to get before training goes on.
  bool best_weights_are_owed_ = false;
  bool checkpoint_is_owed_ = false;
  bool best_model_is_owed_ = false;  // to the network, now that training is done
};

extern template class Solver<float>;

}  // namespace strata
