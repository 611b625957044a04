#include "strata/optim/solver.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "strata/framework/error.hpp"
#include "strata/framework/metrics.hpp"
#include "strata/optim/evaluation.hpp"
#include "strata/optim/finite.hpp"
#include "strata/optim/gradient_norm.hpp"
#include "strata/optim/option_check.hpp"

namespace strata {
namespace {

template <class T>
LoaderOptions loader_options(const Dataset& data, const SolverOptions<T>& options) {
  const bool last_is_single =
      options.batch_size > 1 && data.size() > options.batch_size && data.size() % options.batch_size == 1;
  return {.batch_size = options.batch_size,
          .drop_last = last_is_single,
          .seed = options.seed,
          .augmentation = options.augmentation,
          .standardization = options.standardization};
}

template <class T>
SolverOptions<T> checked(const Layer<T>& net, const Split& data, SolverOptions<T> options) {
  const auto check = [](bool ok, const char* option, const char* range, auto value) {
    detail::check_option(ok, "Solver", option, range, static_cast<double>(value));
  };
  check(options.epochs >= 0, "epochs", "at least 0", options.epochs);
  // More could not be counted in steps.
  check(options.epochs <= 1'000'000'000, "epochs", "at most 1000000000", options.epochs);
  check(options.max_gradient_norm > 0, "max_gradient_norm", "above 0", options.max_gradient_norm);
  if (options.checkpoints)
    check(options.checkpoints->keep_last >= 1, "checkpoints.keep_last", "at least 1",
          options.checkpoints->keep_last);
  if (options.patience) {
    check(*options.patience >= 1, "patience", "at least 1", *options.patience);
    if (!data.validation) throw ArgumentError("Solver: patience needs validation data");
  }
  detail::check_fit("Solver", net, data.train.get(), options.batch_size);
  if (data.validation) {
    if (data.validation->classes() != data.train->classes())
      throw ArgumentError("Solver: the training data have " + std::to_string(data.train->classes()) +
                          " classes, the validation data " + std::to_string(data.validation->classes()));
    detail::check_fit("Solver, validation", net, data.validation.get(),
                      options.validation_batch_size.value_or(options.batch_size));
  }
  return options;
}

Index count_correct(const Labels& predicted, const Labels& labels) {
  Index correct = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) correct += predicted[i] == labels[i];
  return correct;
}

}  // namespace

// Measures one call of train().
template <class T>
struct Solver<T>::Stopwatch {
  using Clock = std::chrono::steady_clock;
  Clock::time_point start = Clock::now();
  Clock::time_point lap_start = start;
  Index steps = 0;

  static double seconds_since(Clock::time_point moment) {
    return std::chrono::duration<double>(Clock::now() - moment).count();
  }
  double lap() {
    const double seconds = seconds_since(lap_start);
    lap_start = Clock::now();
    return seconds;
  }
  double seconds_for(Index more_steps) const {
    return seconds_since(start) / static_cast<double>(std::max<Index>(1, steps)) *
           static_cast<double>(more_steps);
  }
};

template <class T>
Solver<T>::Solver(Layer<T>& net, Split data, const Optimizer<T>& optimizer, SolverOptions<T> options)
    : net_(net),
      data_(std::move(data)),
      options_(checked(net, data_, std::move(options))),
      optimizer_("Solver", optimizer.clone()),
      base_rate_(optimizer.learning_rate()),
      loader_(data_.train, loader_options(*data_.train, options_)) {}

template <class T>
void Solver<T>::list_state() {
  net_.check_tensors();
  std::vector<Parameter<T>*> parameters;
  std::vector<std::string> structure;
  for (const auto& [name, parameter] : net_.named_parameters()) {
    parameters.push_back(parameter);
    structure.push_back("parameter '" + name + "' " + to_string(parameter->shape()));
  }
  std::vector<Buffer<T>> buffers = net_.named_buffers();
  for (const Buffer<T>& buffer : buffers) {
    const auto* const tensor = std::get_if<Tensor<T>*>(&buffer.value);
    structure.push_back("buffer '" + buffer.name + "' " +
                        (tensor ? to_string((*tensor)->shape()) : "a number"));
  }
  if (steps_done() > 0 && structure != structure_) {
    const auto [was, is] =
        std::mismatch(structure_.begin(), structure_.end(), structure.begin(), structure.end());
    throw StateError("Solver: the network has changed since training began: expected " +
                     (was == structure_.end() ? "nothing more" : *was) + ", got " +
                     (is == structure.end() ? "nothing" : *is) + "; make a new Solver for it");
  }
  parameters_ = std::move(parameters);
  buffers_ = std::move(buffers);
  structure_ = std::move(structure);
}

template <class T>
History Solver<T>::train() {
  (void)*optimizer_;  // throws if the value was moved away
  if (finished() && !best_weights_are_owed_ && !checkpoint_is_owed_ && !best_model_is_owed_) return history_;
  prepare_checkpoints();
  write_files();  // an error may have left some to be written
  Stopwatch watch;
  while (!finished()) {
    if (!run_steps(watch)) return history_;
    if (!finish_epoch(watch) && !finished()) return history_;
  }
  if (best_model_is_owed_) restore_best();
  return history_;
}

// The rest of the epoch's steps; false if a callback stopped them.
template <class T>
bool Solver<T>::run_steps(Stopwatch& watch) {
  if (position_.batch == loader_.batches()) return true;
  Index samples = 0;
  const auto start = Stopwatch::Clock::now();
  watch.lap();
  loader_.start_epoch(position_.epoch, position_.batch);
  while (std::optional<Batch<T>> batch = loader_.next()) {
    samples += static_cast<Index>(batch->labels.size());
    StepReport report = step(std::move(*batch));
    ++watch.steps;
    position_.seconds += watch.lap();
    // At the end of the epoch finish_epoch writes it.
    checkpoint_is_owed_ = checkpoint_is_due() && position_.batch < loader_.batches();
    if (options_.after_step) {
      report.samples_per_second = static_cast<double>(samples) / Stopwatch::seconds_since(start);
      report.seconds_left = watch.seconds_for(steps_in_all() - steps_done());
      options_.after_step(report);
    }
    checkpoint_is_owed_ |= report.stop;
    write_files();
    if (report.stop) return false;
  }
  return true;
}

template <class T>
StepReport Solver<T>::step(Batch<T> batch) {
  const auto count = static_cast<Index>(batch.labels.size());
  const double rate = options_.schedule->learning_rate(
      base_rate_,
      {.step = steps_done(), .steps_per_epoch = loader_.batches(), .total_steps = steps_in_all()});
  list_state();
  before_step_.capture({}, buffers_);
  Index correct = 0;
  double loss_value, norm;
  try {
    const Tensor<T> scores = net_.forward(std::move(batch.samples), record_);
    LossResult<T> loss = (*options_.loss)(scores, batch.labels);
    loss_value = loss.value;
    if (!std::isfinite(loss_value)) fail_not_finite("the loss");
    net_.backward_parameters(std::move(loss.gradient), record_);
    norm = clip_gradient_norm(parameters_, options_.max_gradient_norm);
    if (!std::isfinite(norm)) fail_not_finite("the norm of the gradient");
    correct = count_correct(predictions(scores), batch.labels);
    history_.step_losses.push_back(loss_value);  // while there is a way back
    optimizer_->set_learning_rate(rate);
    optimizer_->step(parameters_);
  } catch (...) {
    before_step_.restore({}, buffers_);
    history_.step_losses.resize(static_cast<std::size_t>(steps_done()));
    throw;
  }

  position_.loss_sum += loss_value * static_cast<double>(count);
  position_.correct += correct;
  position_.samples += count;
  ++position_.batch;
  return {.epoch = position_.epoch + 1,
          .epochs = options_.epochs,
          .step = position_.batch,
          .steps_per_epoch = loader_.batches(),
          .loss = loss_value,
          .learning_rate = rate,
          .gradient_norm = norm,
          .samples_per_second = 0,
          .seconds_left = 0};
}

// Validation and all that follows from it; false if a callback stops the training.
template <class T>
bool Solver<T>::finish_epoch(Stopwatch& watch) {
  watch.lap();
  const auto samples = static_cast<double>(position_.samples);
  EpochRecord record{.epoch = position_.epoch + 1,
                     .train_loss = position_.loss_sum / samples,
                     .train_accuracy = static_cast<double>(position_.correct) / samples,
                     .learning_rate = optimizer_->learning_rate()};
  // All that may throw comes first, on copies; what follows takes them over and cannot fail.
  list_state();
  const std::string where = "epoch " + std::to_string(record.epoch) + ": ";
  detail::require_finite(where, net_);
  bool best = false;
  detail::Snapshot<T> model;
  Cloned<Schedule> schedule = options_.schedule;
  if (data_.validation) {
    const Evaluation result = validate(where);
    record.validation_loss = result.loss;
    record.validation_accuracy = result.accuracy;
    best = is_best(record);
    if (best && options_.keep_best) model.capture(parameters_, buffers_);
    schedule->observe(result.loss, result.accuracy);
  } else {
    schedule->observe(record.train_loss, record.train_accuracy);
  }
  record.seconds = position_.seconds + watch.lap();
  history_.epochs.push_back(record);

  options_.schedule.swap(schedule);
  if (!model.empty()) best_ = std::move(model);
  if (best) history_.best_epoch = record.epoch;
  history_.stopped_early = options_.patience && record.epoch - history_.best_epoch >= *options_.patience;
  position_ = {.epoch = position_.epoch + 1};
  best_model_is_owed_ = finished() && !best_.empty();
  best_weights_are_owed_ = best;
  checkpoint_is_owed_ = finished() || checkpoint_is_due();

  EpochReport report{.record = history_.epochs.back(),
                     .epochs = options_.epochs,
                     .best = best,
                     .seconds_left = finished() ? 0 : watch.seconds_for(steps_in_all() - steps_done())};
  if (options_.after_epoch) options_.after_epoch(report);
  checkpoint_is_owed_ |= report.stop;
  write_files();
  return !report.stop;
}

// Throws NotFiniteError if the result would be NaN or infinite.
template <class T>
Evaluation Solver<T>::validate(const std::string& where) const {
  try {
    return evaluate(net_, data_.validation,
                    {.batch_size = options_.validation_batch_size.value_or(options_.batch_size),
                     .standardization = options_.standardization,
                     .check_finite = true},
                    *options_.loss);
  } catch (const NotFiniteError& error) {
    throw NotFiniteError(where + error.what());
  }
}

template <class T>
bool Solver<T>::is_best(const EpochRecord& record) const {
  const auto score = [&](const EpochRecord& of) {  // the higher the better
    return options_.monitor == Monitor::accuracy ? of.validation_accuracy : -of.validation_loss;
  };
  return history_.best_epoch == 0 ||
         score(record) > score(history_.epochs[static_cast<std::size_t>(history_.best_epoch - 1)]);
}

template <class T>
void Solver<T>::restore_best() {
  (void)*optimizer_;  // throws if the value was moved away
  if (best_.empty()) throw StateError("Solver: there is no best model to restore");
  list_state();
  best_.restore(parameters_, buffers_);
  best_model_is_owed_ = false;
}

// Replays the step on a copy of the network that looks at every value.
template <class T>
void Solver<T>::fail_not_finite(const std::string& what) {
  before_step_.restore({}, buffers_);
  const std::string where =
      "epoch " + std::to_string(position_.epoch + 1) + ", step " + std::to_string(position_.batch + 1) + ": ";
  detail::require_finite(where, net_);
  loader_.start_epoch(position_.epoch, position_.batch);
  const Batch<T> batch = *loader_.next();
  const std::unique_ptr<Layer<T>> twin = net_.clone();
  detail::require_finite_run(where, batch.samples, [&] {
    const Tensor<T> scores = twin->forward(batch.samples);
    twin->backward_parameters((*options_.loss)(scores, batch.labels).gradient);
  });
  for (const auto& [name, parameter] : twin->named_parameters())
    if (!detail::is_finite(parameter->gradient))
      throw NotFiniteError(where + "the gradient of parameter '" + name + "' is NaN or infinite");
  throw NotFiniteError(where + what + " is NaN or infinite");
}

template class Solver<float>;
template class Solver<double>;

}  // namespace strata
