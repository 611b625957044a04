// What a checkpoint holds. Tensors: "model.…", every parameter and buffer; "best.…", the same of the best
// epoch; "optimizer.…"; "history.step_losses" and "history.epochs", a row each. Notes: where training stands,
// what the schedule remembers, the identity of the run ("run.…"), and a checksum of all that. Format 1 held
// less of the identity, and that without "run.".
#include <algorithm>
#include <cmath>
#include <limits>

#include "strata/framework/error.hpp"
#include "strata/framework/io/checksum.hpp"
#include "strata/framework/io/quote.hpp"
#include "strata/framework/io/safetensors.hpp"
#include "strata/framework/io/weights.hpp"
#include "strata/framework/runtime/blas.hpp"
#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/framework/version.hpp"
#include "strata/optim/checkpoint_folder.hpp"
#include "strata/optim/finite.hpp"
#include "strata/optim/solver.hpp"

namespace strata {
namespace {

using detail::to_text;

constexpr Index kMostCount = std::numeric_limits<Index>::max() / 2;
constexpr std::size_t kEpochColumns = 7;
constexpr const char *kFormat = "strata checkpoint 2", *kOldFormat = "strata checkpoint 1";

Tensor<double> tensor_of(const std::vector<double>& values, const Shape& shape) {
  auto tensor = empty<double>(shape);
  std::copy(values.begin(), values.end(), tensor.data());
  return tensor;
}

Tensor<double> table_of(const std::vector<EpochRecord>& epochs) {
  std::vector<double> cells;
  for (const EpochRecord& record : epochs)
    for (const double value :
         {static_cast<double>(record.epoch), record.train_loss, record.train_accuracy, record.validation_loss,
          record.validation_accuracy, record.learning_rate, record.seconds})
      cells.push_back(value);
  return tensor_of(cells, {epochs.size(), kEpochColumns});
}

std::vector<EpochRecord> records_of(const Tensor<double>& table) {
  std::vector<EpochRecord> epochs;
  const double* row = table.data();
  for (std::size_t i = 0; i < table.shape()[0]; ++i, row += kEpochColumns)
    epochs.push_back({static_cast<Index>(i) + 1, row[1], row[2], row[3], row[4], row[5], row[6]});
  return epochs;
}

// Views of the values, under a prefix.
void append(std::vector<StateEntry>& entries, const std::string& prefix,
            const std::vector<StateEntry>& more) {
  for (const StateEntry& entry : more) entries.push_back({prefix + entry.name, entry.place});
}

template <class T>
std::vector<StateEntry> state_of(Optimizer<T>& optimizer) {
  std::vector<StateEntry> entries;
  for (const Buffer<T>& buffer : optimizer.state())
    std::visit([&](auto* place) { entries.push_back({buffer.name, place}); }, buffer.value);
  return entries;
}

// What may change the last bits of a result: it is compared too, but does not hinder.
std::vector<std::pair<std::string, std::string>> environment() {
  return {{"instruction_set", std::string(to_string(instruction_set()))},
          {"blas", blas_version()},
          {"compiler", __VERSION__},
          {"fusion", fusion() ? "on" : "off"},
          {"reference", uses_reference() ? "on" : "off"},
          {"strata", std::string(version())}};
}

// Throws DataError if it is damaged.
StateDict read_checkpoint(const std::string& path) {
  StateDict state = read_safetensors(path);
  const std::string file = detail::in_quotes(path);
  if (!detail::verify_checksum(state, file))
    throw DataError(file + ": is not a checkpoint: it has no checksum");
  return state;
}

}  // namespace

template <class T>
std::vector<StateEntry> Solver<T>::checkpoint_entries(detail::Snapshot<T>* best) {
  const std::vector<StateEntry> model = state_of(net_, StateScope::all);
  std::vector<StateEntry> entries;
  append(entries, "model.", model);
  append(entries, "optimizer.", state_of(*optimizer_));
  if (best) append(entries, "best.", best->entries(model));
  return entries;
}

template <class T>
void Solver<T>::save_checkpoint(const std::string& path) {
  list_state();
  optimizer_->prepare(parameters_);
  StateDict state = capture(checkpoint_entries(best_.empty() ? nullptr : &best_));
  state.put("history.step_losses", tensor_of(history_.step_losses, {history_.step_losses.size()}));
  state.put("history.epochs", table_of(history_.epochs));

  auto& notes = state.metadata;
  notes["format"] = kFormat;
  for (auto& [name, value] : environment()) notes[name] = std::move(value);
  for (auto& [name, value] : identity()) notes["run." + name] = std::move(value);
  notes["epoch"] = to_text(position_.epoch);
  notes["batch"] = to_text(position_.batch);
  notes["loss_sum"] = to_text(position_.loss_sum);
  notes["correct"] = to_text(position_.correct);
  notes["samples"] = to_text(position_.samples);
  notes["seconds"] = to_text(position_.seconds);
  notes["last_learning_rate"] = to_text(optimizer_->learning_rate());
  notes["best_epoch"] = to_text(history_.best_epoch);
  notes["stopped_early"] = history_.stopped_early ? "yes" : "no";
  for (const auto& [name, value] : options_.schedule->state()) notes["schedule." + name] = to_text(*value);
  detail::add_checksum(state);
  write_safetensors(state, path);
}

template <class T>
std::vector<std::string> Solver<T>::load_checkpoint(const std::string& path) {
  return take_up(read_checkpoint(path), path);
}

template <class T>
std::vector<std::string> Solver<T>::take_up(StateDict state, const std::string& path) {
  const std::string file = detail::in_quotes(path);
  const detail::Notes notes(state.metadata, file);
  const bool old = notes.text("format") == kOldFormat;
  if (!old && notes.text("format") != kFormat)
    notes.fail("is not a checkpoint that this version reads: expected '" + std::string(kFormat) +
               "', found " + detail::in_quotes(notes.text("format")));
  std::vector<std::string> remarks = notes.compare_run(identity(), old);

  Position position;
  position.epoch = notes.count("epoch", kMostCount / std::max<Index>(1, loader_.batches()) - 1);
  position.batch = notes.count("batch", loader_.batches());
  position.loss_sum = notes.number("loss_sum");
  position.correct = notes.count("correct", kMostCount);
  position.samples = notes.count("samples", kMostCount);
  position.seconds = notes.number("seconds");
  const double rate = notes.number("last_learning_rate");
  if (!std::isfinite(rate) || rate < 0) notes.fail("note 'last_learning_rate': expected a learning rate");
  const auto places = options_.schedule->state();
  std::vector<double> schedule;
  for (const auto& [name, place] : places) schedule.push_back(notes.number("schedule." + name));

  History history;
  history.best_epoch = notes.count("best_epoch", position.epoch);
  const std::string& stopped = notes.text("stopped_early");
  if (stopped != "yes" && stopped != "no") notes.fail("note 'stopped_early': expected yes or no");
  history.stopped_early = stopped == "yes";
  const auto losses = state.get<double>("history.step_losses", file);
  const auto epochs = state.get<double>("history.epochs", file);
  const auto steps = static_cast<std::size_t>(position.epoch * loader_.batches() + position.batch);
  if (losses.shape() != Shape{steps} ||
      epochs.shape() != Shape{static_cast<std::size_t>(position.epoch), kEpochColumns})
    notes.fail("its history does not have the " + std::to_string(steps) + " steps of its position");
  history.step_losses.assign(losses.begin(), losses.end());
  history.epochs = records_of(epochs);
  state.tensors.erase("history.step_losses");
  state.tensors.erase("history.epochs");

  list_state();
  const bool had_state = !optimizer_->state().empty();
  optimizer_->prepare(parameters_);
  detail::Snapshot<T> best;
  const bool has_best = options_.keep_best && history.best_epoch > 0;
  if (has_best) best.capture(parameters_, buffers_);
  for (const auto& [name, own] : environment())
    if (!notes.agrees(name, own))
      remarks.push_back("the " + name + " of the checkpoint is " +
                        (state.metadata.contains(name) ? detail::in_quotes(notes.text(name)) : "not known") +
                        ", here it is " + detail::in_quotes(own) +
                        "; the last bits may differ from those of an uninterrupted run");
  try {
    restore(checkpoint_entries(has_best ? &best : nullptr), state, file, {.widen = false});
  } catch (...) {
    if (!had_state) optimizer_->reset();  // nor has it taken the network for what it is
    throw;
  }

  // Nothing below can fail.
  best_ = std::move(best);
  history_ = std::move(history);
  position_ = position;
  optimizer_->set_learning_rate(rate);
  std::size_t next = 0;
  for (const auto& [name, place] : places) *place = schedule[next++];
  best_weights_are_owed_ = checkpoint_is_owed_ = false;
  best_model_is_owed_ = finished() && !best_.empty();
  return remarks;
}

template <class T>
std::optional<ResumeReport> Solver<T>::resume() {
  if (!options_.checkpoints) throw StateError("Solver: resume needs the option 'checkpoints'");
  const detail::CheckpointFolder folder(*options_.checkpoints);
  ResumeReport report;
  std::vector<std::filesystem::path> damaged;
  for (const std::filesystem::path& path : folder.newest_first()) {
    StateDict state;
    try {
      state = read_checkpoint(path);
    } catch (const DataError& error) {
      damaged.push_back(path);
      report.damaged.emplace_back(error.what());
      continue;
    }
    report.remarks = take_up(std::move(state), path);
    report.file = path;
    std::error_code ignored;  // train() refuses to go on before a newer file
    for (const auto& bad : damaged) std::filesystem::rename(bad, bad.string() + ".damaged", ignored);
    return report;
  }
  if (!damaged.empty())
    throw DataError("no checkpoint can be read, the newest because of: " + report.damaged[0]);
  return std::nullopt;
}

// Checkpoints of another run would be taken for the newest of this one.
template <class T>
void Solver<T>::prepare_checkpoints() {
  if (!options_.checkpoints) return;
  const detail::CheckpointFolder folder(*options_.checkpoints);
  folder.prepare();
  if (const auto newest = folder.newest(); newest && *newest > steps_done())
    throw StateError("Solver: " + detail::in_quotes(folder.path_of(*newest).string()) +
                     " is ahead of this run; resume() goes on from it, or choose another folder");
}

template <class T>
bool Solver<T>::checkpoint_is_due() const {
  if (!options_.checkpoints) return false;
  const Span& every = options_.checkpoints->every;
  if (every.unit == Span::Unit::steps && position_.batch == 0) return true;  // an epoch has ended
  return steps_done() % every.in_steps(loader_.batches()) == 0;
}

template <class T>
void Solver<T>::write_files() {
  if (!options_.checkpoints) best_weights_are_owed_ = checkpoint_is_owed_ = false;
  if (checkpoint_is_owed_) detail::require_finite("after step " + std::to_string(steps_done()) + ": ", net_);
  if (!best_weights_are_owed_ && !checkpoint_is_owed_) return;
  const detail::CheckpointFolder folder(*options_.checkpoints);
  if (best_weights_are_owed_) save_weights(net_, folder.best_weights());
  best_weights_are_owed_ = false;
  if (!checkpoint_is_owed_) return;
  save_checkpoint(folder.path_of(steps_done()));
  checkpoint_is_owed_ = false;
  folder.prune();
}

#define STRATA_INSTANTIATE(T)                                                           \
  template std::vector<StateEntry> Solver<T>::checkpoint_entries(detail::Snapshot<T>*); \
  template void Solver<T>::save_checkpoint(const std::string&);                         \
  template std::vector<std::string> Solver<T>::load_checkpoint(const std::string&);     \
  template std::vector<std::string> Solver<T>::take_up(StateDict, const std::string&);  \
  template std::optional<ResumeReport> Solver<T>::resume();                             \
  template void Solver<T>::prepare_checkpoints();                                       \
  template bool Solver<T>::checkpoint_is_due() const;                                   \
  template void Solver<T>::write_files();
STRATA_INSTANTIATE(float)
STRATA_INSTANTIATE(double)
#undef STRATA_INSTANTIATE

}  // namespace strata
