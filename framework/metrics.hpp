// Metrics: how often a classifier is right.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/labels.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

/// What is predicted for a sample of which a score is NaN. It is no label: such a sample is never right.
constexpr std::int32_t kNoClass = -1;

/// The class of the highest score in each row of (N, classes); of equal scores, the first; kNoClass if one is
/// NaN.
template <class T>
STRATA_EXPORT Labels predictions(const Tensor<T>& scores);

/// The share of samples whose label has the highest score, in [0, 1]. Throws ShapeError, and ArgumentError
/// for a label out of range.
template <class T>
STRATA_EXPORT double accuracy(const Tensor<T>& scores, const Labels& labels);

/// The share of samples whose label is among the k highest scores; none of a sample that has a NaN is. Throws
/// ArgumentError unless 1 <= k <= classes.
template <class T>
STRATA_EXPORT double top_k_accuracy(const Tensor<T>& scores, const Labels& labels, Index k);

/// Counts samples by label and prediction, which may be kNoClass.
class ConfusionMatrix {
 public:
  /// Throws ArgumentError for fewer than one class, or for names that are not one per class.
  explicit ConfusionMatrix(Index classes, std::vector<std::string> names = {});

  /// Throws ArgumentError for a class out of range, ShapeError for two lengths; then it counts none.
  void add(const Labels& labels, const Labels& predicted);
  template <class T>
  void add(const Tensor<T>& scores, const Labels& labels) {
    add(labels, predictions(scores));
  }

  Index classes() const { return classes_; }
  Index total() const;
  /// How many samples of class `label` were taken for class `predicted`.
  Index count(Index label, Index predicted) const;
  /// Right ones over all; NaN if there are none, as below.
  double accuracy() const;
  /// Of the samples of this class, the share that was found.
  double recall(Index label) const;
  /// Of the samples taken for this class, the share that is of it.
  double precision(Index predicted) const;

  /// A table: one row a label, one column a prediction, recall at the end of the row and precision below. A
  /// column "none" is for kNoClass, if there are any.
  std::string to_string() const;

 private:
  // The column of kNoClass comes first.
  std::size_t place_of(Index label, Index predicted) const {
    return static_cast<std::size_t>(label * (classes_ + 1) + predicted + 1);
  }
  Index row_sum(Index label) const;
  Index column_sum(Index predicted) const;

  Index classes_;
  std::vector<std::string> names_;
  std::vector<Index> counts_;
};

std::ostream& operator<<(std::ostream& stream, const ConfusionMatrix& matrix);

}  // namespace strata
