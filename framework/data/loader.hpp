// DataLoader: batches in random order, augmented and standardized, prepared in the background.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "strata/framework/data/augmentation.hpp"
#include "strata/framework/data/dataset.hpp"

namespace strata {

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

/// Each epoch visits every sample once (without replacement). The order and the augmentation of epoch e
/// depend on (seed, e) alone, not on threads and not on where the epoch is entered.
template <class T>
class DataLoader {
 public:
  /// Throws ArgumentError for a batch size below 1, a null or empty dataset, or options that do not fit it.
  DataLoader(std::shared_ptr<const Dataset> dataset, LoaderOptions options = {});
  ~DataLoader();
  DataLoader(DataLoader&&) noexcept;
  DataLoader& operator=(DataLoader&&) noexcept;

  /// Begins epoch `epoch` at batch `first_batch`.
  void start_epoch(Index epoch, Index first_batch = 0);
  /// The next batch; nothing at the end of the epoch. Rethrows what reading threw.
  std::optional<Batch<T>> next();

  Index batches() const;
  const LoaderOptions& options() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

extern template class DataLoader<float>;
extern template class DataLoader<double>;

}  // namespace strata
