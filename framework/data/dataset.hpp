// Dataset: labeled samples to read by number.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "strata/framework/export.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

/// Labeled samples of one shape. Reading must be safe from several threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual Index size() const = 0;
  /// (C, H, W) for images, (D) for features.
  virtual Shape sample_shape() const = 0;
  virtual Index classes() const = 0;
  virtual std::string class_name(Index c) const { return std::to_string(c); }
  virtual std::int32_t label(Index i) const = 0;
  /// Writes sample i, row-major. Bytes of an image come as value / 255.
  virtual void read(Index i, std::span<float> sample) const = 0;
};

/// What a Solver trains on and what it measures itself with. `validation` may be null.
struct Split {
  std::shared_ptr<const Dataset> train;
  std::shared_ptr<const Dataset> validation;
};

/// A data set as published: what to learn from, and what to look at once at the end.
struct TrainTest {
  std::shared_ptr<const Dataset> train;
  std::shared_ptr<const Dataset> test;
};

}  // namespace strata
