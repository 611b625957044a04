// Metrics: how often a classifier is right.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "strata/framework/labels.hpp"
#include "strata/framework/tensor.hpp"

namespace strata {

/// The class of the highest score in each row of (N, classes); of equal scores, the first.
template <class T>
Labels predictions(const Tensor<T>& scores);

/// The share of samples whose label has the highest score, in [0, 1]. Throws ShapeError, and ArgumentError
/// for a label out of range.
template <class T>
double accuracy(const Tensor<T>& scores, const Labels& labels);

/// The share of samples whose label is among the k highest scores. A score that is not a number counts as
/// higher than the label's. Throws ArgumentError unless 1 <= k <= classes.
template <class T>
double top_k_accuracy(const Tensor<T>& scores, const Labels& labels, Index k);

/// Counts samples by label and prediction.
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

  /// A table: one row a label, one column a prediction, recall at the end of the row and precision below.
  std::string to_string() const;

 private:
  Index row_sum(Index label) const;
  Index column_sum(Index predicted) const;

  Index classes_;
  std::vector<std::string> names_;
  std::vector<Index> counts_;
};

std::ostream& operator<<(std::ostream& stream, const ConfusionMatrix& matrix);

}  // namespace strata
