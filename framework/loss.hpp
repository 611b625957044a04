// Losses: the mean over the batch, and its gradient with respect to the scores.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "strata/framework/tensor.hpp"

namespace strata {

/// One class number per sample, from 0.
using Labels = std::vector<std::int32_t>;

template <class T>
struct LossResult {
  double value;        ///< mean over the batch
  Tensor<T> gradient;  ///< d value / d scores
};

/// A loss of scores (N, classes) and labels (N). Throws ShapeError, and ArgumentError for a label out of
/// range.
template <class T>
class Loss {
 public:
  virtual ~Loss() = default;
  virtual LossResult<T> operator()(const Tensor<T>& scores, const Labels& labels) const = 0;
  virtual std::unique_ptr<Loss> clone() const = 0;
};

}  // namespace strata
