#include "strata/framework/data/loader.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>

#include "strata/framework/error.hpp"
#include "strata/framework/random.hpp"
#include "strata/framework/runtime/fork.hpp"

namespace strata {
namespace {

constexpr std::size_t kBatchesAhead = 2;

}  // namespace

template <class T>
struct DataLoader<T>::State {
  State() = default;
  /// The same loader, with no epoch under way.
  State(const State& of)
      : dataset(of.dataset), options(of.options), sample_shape(of.sample_shape), batches(of.batches) {}

  std::shared_ptr<const Dataset> dataset;
  LoaderOptions options;
  Shape sample_shape;
  Index batches = 0;
  Index epoch = 0;
  Index next_batch = 0;  // which next() gives

  std::mutex mutex;
  std::condition_variable_any changed;
  std::deque<Batch<T>> ready;    // guarded by the mutex, as the next two
  bool finished = false;         // the worker will add nothing more
  std::exception_ptr exception;  // why, unless it is the end of the epoch
  bool started = false;
  unsigned process = 0;  // of detail::forks(), when the worker was started
  std::jthread worker;   // the last member: it stops before the others go

  /// Whether this is a child of the process that has the worker. What that has locked, or waits for, can then
  /// be neither used nor destroyed.
  bool has_lost_worker() const { return worker.joinable() && process != detail::forks(); }
  void run(std::stop_token stop, Index first_batch);
  std::optional<Batch<T>> prepare(const std::stop_token& stop, std::span<const Index> samples,
                                  std::uint64_t epoch_seed, std::span<float> scratch) const;
};

template <class T>
void DataLoader<T>::State::run(std::stop_token stop, Index first_batch) {
  std::exception_ptr failure;
  try {
    const std::uint64_t epoch_seed = combine_seeds(options.seed, static_cast<std::uint64_t>(epoch));
    std::vector<Index> order;
    if (options.shuffle) {
      order = Random(epoch_seed).permutation(dataset->size());
    } else {
      order.resize(static_cast<std::size_t>(dataset->size()));
      std::iota(order.begin(), order.end(), Index{0});
    }
    std::vector<float> scratch(static_cast<std::size_t>(element_count(sample_shape)));
    for (Index b = first_batch; b < batches; ++b) {
      {
        std::unique_lock lock(mutex);
        if (!changed.wait(lock, stop, [&] { return ready.size() < kBatchesAhead; })) return;
      }
      const Index begin = b * options.batch_size;
      const Index count = std::min(options.batch_size, dataset->size() - begin);
      auto batch = prepare(stop, std::span(order).subspan(begin, count), epoch_seed, scratch);
      if (!batch) return;
      {
        const std::scoped_lock lock(mutex);
        ready.push_back(std::move(*batch));
      }
      changed.notify_all();
    }
  } catch (...) {
    failure = std::current_exception();
  }
  {
    const std::scoped_lock lock(mutex);
    exception = failure;
    finished = true;
  }
  changed.notify_all();
}

// Nothing if it was told to stop.
template <class T>
std::optional<Batch<T>> DataLoader<T>::State::prepare(const std::stop_token& stop,
                                                      std::span<const Index> samples,
                                                      std::uint64_t epoch_seed,
                                                      std::span<float> scratch) const {
  Shape shape(sample_shape.size() + 1);
  shape[0] = samples.size();
  std::copy(sample_shape.begin(), sample_shape.end(), shape.begin() + 1);
  Batch<T> batch{empty<T>(shape), Labels(samples.size())};
  const bool augment = options.augmentation != Augmentation{};
  const std::uint64_t augmentation_seed = combine_seeds(epoch_seed, "augmentation");
  const Standardization* standardization = options.standardization ? &*options.standardization : nullptr;
  T* out = batch.samples.data();
  for (std::size_t i = 0; i < samples.size(); ++i, out += scratch.size()) {
    if (stop.stop_requested()) return std::nullopt;
    const Index sample = samples[i];
    batch.labels[i] = dataset->label(sample);
    dataset->read(sample, scratch);
    const std::span<T> target(out, scratch.size());
    if (augment) {
      const auto draw = draw_augmentation(options.augmentation, sample_shape,
                                          Random(augmentation_seed, static_cast<std::uint64_t>(sample)));
      detail::prepare_image<T>(scratch, target, sample_shape, options.augmentation, draw, standardization);
    } else {
      detail::prepare_sample<T>(scratch, target, standardization);
    }
  }
  return batch;
}

template <class T>
DataLoader<T>::DataLoader(std::shared_ptr<const Dataset> dataset, LoaderOptions options)
    : state_("DataLoader", std::unique_ptr<State, Discard>(new State)) {
  if (!dataset) throw ArgumentError("DataLoader: the dataset is null");
  const Index size = dataset->size();
  if (size < 1) throw ArgumentError("DataLoader: the dataset is empty");
  if (options.batch_size < 1)
    throw ArgumentError("DataLoader: batch_size must be at least 1, got " +
                        std::to_string(options.batch_size));
  if (options.drop_last && options.batch_size > size)
    throw ArgumentError("DataLoader: with drop_last, batch_size " + std::to_string(options.batch_size) +
                        " leaves no batch of " + std::to_string(size) + " samples");
  state_->sample_shape = dataset->sample_shape();
  detail::check_augmentation(options.augmentation, state_->sample_shape);
  if (options.standardization) detail::check_standardization(*options.standardization, state_->sample_shape);
  state_->batches = size / options.batch_size + (!options.drop_last && size % options.batch_size != 0);
  state_->dataset = std::move(dataset);
  state_->options = std::move(options);
}

template <class T>
void DataLoader<T>::Discard::operator()(State* state) const {
  if (!state->has_lost_worker()) delete state;
}

template <class T>
DataLoader<T>::~DataLoader() = default;
template <class T>
DataLoader<T>::DataLoader(DataLoader&&) noexcept = default;
template <class T>
DataLoader<T>& DataLoader<T>::operator=(DataLoader&&) noexcept = default;

template <class T>
void DataLoader<T>::start_epoch(Index epoch, Index first_batch) {
  if (epoch < 0) throw ArgumentError("DataLoader: epochs count from 0, got " + std::to_string(epoch));
  if (first_batch < 0 || first_batch > state_->batches)
    throw ArgumentError("DataLoader: an epoch has " + std::to_string(state_->batches) +
                        " batches, it cannot begin at " + std::to_string(first_batch));
  if (state_->has_lost_worker()) state_ = {"DataLoader", std::unique_ptr<State, Discard>(new State(*state_))};
  State& state = *state_;
  state.worker = std::jthread();  // stops the epoch under way
  state.ready.clear();
  state.finished = false;
  state.exception = nullptr;
  state.started = false;
  state.epoch = epoch;
  state.next_batch = first_batch;
  state.process = detail::forks();
  state.worker =
      std::jthread([&state, first_batch](std::stop_token stop) { state.run(std::move(stop), first_batch); });
  state.started = true;  // not if there was no thread to be had
}

template <class T>
std::optional<Batch<T>> DataLoader<T>::next() {
  if (state_->has_lost_worker()) start_epoch(state_->epoch, state_->next_batch);
  State& state = *state_;
  if (!state.started) throw StateError("DataLoader: start_epoch before next");
  std::optional<Batch<T>> batch;
  {
    std::unique_lock lock(state.mutex);
    state.changed.wait(lock, [&] { return !state.ready.empty() || state.finished; });
    if (state.ready.empty()) {
      if (state.exception) std::rethrow_exception(state.exception);
      return std::nullopt;
    }
    batch = std::move(state.ready.front());
    state.ready.pop_front();
    ++state.next_batch;
  }
  state.changed.notify_all();
  return batch;
}

template <class T>
Index DataLoader<T>::batches() const {
  return state_->batches;
}

template <class T>
const LoaderOptions& DataLoader<T>::options() const {
  return state_->options;
}

template class DataLoader<float>;
template class DataLoader<double>;

}  // namespace strata
