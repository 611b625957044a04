// Subset: some samples of a data set; and how to split one.
#pragma once

#include <concepts>
#include <cstdint>
#include <vector>

#include "strata/framework/data/dataset.hpp"
#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// A view: sample i is sample samples[i] of the dataset.
class Subset final : public Dataset {
 public:
  /// Throws ArgumentError for a null dataset, no samples or a number out of range.
  Subset(std::shared_ptr<const Dataset> dataset, std::vector<Index> samples);

  Index size() const override { return static_cast<Index>(samples_.size()); }
  Shape sample_shape() const override { return dataset_->sample_shape(); }
  Index classes() const override { return dataset_->classes(); }
  std::string class_name(Index c) const override { return dataset_->class_name(c); }
  std::int32_t label(Index i) const override { return dataset_->label(number(i)); }
  void read(Index i, std::span<float> sample) const override { dataset_->read(number(i), sample); }

 private:
  Index number(Index i) const;

  std::shared_ptr<const Dataset> dataset_;
  std::vector<Index> samples_;
};

/// Draws `validation_count` samples for validation at random; the rest, in its old order, is for training.
/// Throws ArgumentError unless both parts get a sample.
Split split(std::shared_ptr<const Dataset> dataset, Index validation_count, std::uint64_t seed = 0);

/// The same with a share of the samples, between 0 and 1, rounded to the nearest number.
Split split(std::shared_ptr<const Dataset> dataset, std::floating_point auto validation_fraction,
            std::uint64_t seed = 0);

/// The first `count` samples, or the whole dataset if it has no more.
std::shared_ptr<const Dataset> take(std::shared_ptr<const Dataset> dataset, Index count);

namespace detail {
Index validation_count(const Dataset* dataset, double fraction);
}

Split split(std::shared_ptr<const Dataset> dataset, std::floating_point auto validation_fraction,
            std::uint64_t seed) {
  const Index count = detail::validation_count(dataset.get(), static_cast<double>(validation_fraction));
  return split(std::move(dataset), count, seed);
}

}  // namespace strata
