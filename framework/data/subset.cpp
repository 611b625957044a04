#include "strata/framework/data/subset.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "strata/framework/error.hpp"
#include "strata/framework/random.hpp"

namespace strata {

Subset::Subset(std::shared_ptr<const Dataset> dataset, std::vector<Index> samples)
    : dataset_(std::move(dataset)), samples_(std::move(samples)) {
  if (!dataset_) throw ArgumentError("Subset: the dataset is null");
  if (samples_.empty()) throw ArgumentError("Subset: at least one sample is needed");
  const Index count = dataset_->size();
  for (const Index sample : samples_)
    if (sample < 0 || sample >= count)
      throw ArgumentError("Subset: sample " + std::to_string(sample) + " of " + std::to_string(count));
}

Index Subset::number(Index i) const {
  if (i < 0 || i >= size())
    throw ArgumentError("Subset: sample " + std::to_string(i) + " of " + std::to_string(size()));
  return samples_[i];
}

Split split(std::shared_ptr<const Dataset> dataset, Index validation_count, std::uint64_t seed) {
  if (!dataset) throw ArgumentError("split: the dataset is null");
  if (validation_count < 1 || validation_count >= dataset->size())
    throw ArgumentError("split: " + std::to_string(validation_count) + " of " +
                        std::to_string(dataset->size()) +
                        " samples for validation leave training or validation without any");
  auto order = Random(combine_seeds(seed, "split")).permutation(dataset->size());
  const auto middle = order.begin() + validation_count;
  std::sort(order.begin(), middle);
  std::sort(middle, order.end());
  return {std::make_shared<Subset>(dataset, std::vector<Index>(middle, order.end())),
          std::make_shared<Subset>(dataset, std::vector<Index>(order.begin(), middle))};
}

std::shared_ptr<const Dataset> take(std::shared_ptr<const Dataset> dataset, Index count) {
  if (!dataset) throw ArgumentError("take: the dataset is null");
  if (count < 1) throw ArgumentError("take: at least one sample is needed, got " + std::to_string(count));
  if (count >= dataset->size()) return dataset;
  std::vector<Index> first(static_cast<std::size_t>(count));
  std::iota(first.begin(), first.end(), Index{0});
  return std::make_shared<Subset>(std::move(dataset), std::move(first));
}

namespace detail {

Index validation_count(const Dataset* dataset, double fraction) {
  if (!dataset) throw ArgumentError("split: the dataset is null");
  if (!(fraction > 0 && fraction < 1))
    throw ArgumentError("split: the share for validation must be between 0 and 1, got " +
                        std::to_string(fraction));
  return static_cast<Index>(std::llround(fraction * static_cast<double>(dataset->size())));
}

}  // namespace detail
}  // namespace strata
