// DataLoader: batches in random order, augmented and standardized, prepared in the background.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "strata/framework/data/augmentation.hpp"
#include "strata/framework/data/dataset.hpp"
#include "strata/framework/export.hpp"
#include "strata/framework/held.hpp"
#include "strata/framework/labels.hpp"

namespace STRATA_EXPORT strata {

template <class T>
struct Batch {
  Tensor<T> samples;  ///< (N, ...)
  Labels labels;
};

struct LoaderOptions {
  Index batch_size = 64;
  bool shuffle = true;
  bool drop_last = false;  ///< leave out a last batch that is not full
  std::uint64_t seed = 0;
  Augmentation augmentation = {};
  std::optional<Standardization> standardization = std::nullopt;
};

/// Each epoch visits every sample once (without replacement). The order of epoch e depends on (seed, e)
/// alone, the augmentation of a sample on (seed, e, its number): not on threads, on the batch around it or on
/// where the epoch is entered. The next two batches are prepared while the present one is worked on.
///
///     DataLoader<float> loader(data, {.batch_size = 64});
///     loader.start_epoch(0);
///     while (auto batch = loader.next()) step(batch->samples, batch->labels);
///
/// After a fork() the child's loader goes on as the parent's does: it starts a thread of its own.
template <class T>
class DataLoader {
 public:
  /// Throws ArgumentError for a batch size below 1, a null or empty dataset, or options that do not fit it.
  DataLoader(std::shared_ptr<const Dataset> dataset, LoaderOptions options = {});
  ~DataLoader();
  DataLoader(DataLoader&&) noexcept;
  DataLoader& operator=(DataLoader&&) noexcept;

  /// Begins epoch `epoch` (from 0) at batch `first_batch`; what was under way is dropped. Throws
  /// ArgumentError for a number out of range.
  void start_epoch(Index epoch, Index first_batch = 0);
  /// The next batch; nothing at the end of the epoch. Rethrows what reading the dataset threw. Throws
  /// StateError before the first start_epoch.
  std::optional<Batch<T>> next();

  /// How many batches an epoch has.
  Index batches() const;
  const LoaderOptions& options() const;

 private:
  struct State;
  struct Discard {
    void operator()(State* state) const;
  };
  detail::Held<State, Discard> state_;
};

extern template class DataLoader<float>;

}  // namespace strata
