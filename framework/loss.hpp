// Losses: the mean over the batch, and its gradient with respect to the scores.
#pragma once

#include <memory>

#include "strata/framework/export.hpp"
#include "strata/framework/labels.hpp"
#include "strata/framework/settings.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

template <class T>
struct LossResult {
  double value;        ///< mean over the batch
  Tensor<T> gradient;  ///< d value / d scores
};

/// A loss of scores (N, classes) and labels (N). Throws ShapeError, and ArgumentError for a label out of
/// range.
///
/// To write one, override operator(), type and clone; settings if it has options.
template <class T>
class Loss {
 public:
  virtual ~Loss() = default;
  virtual LossResult<T> operator()(const Tensor<T>& scores, const Labels& labels) const = 0;
  /// The name of the class.
  virtual std::string type() const = 0;
  virtual Settings settings() const { return {}; }
  virtual std::unique_ptr<Loss> clone() const = 0;
};

struct SoftmaxCrossEntropyOptions {
  double label_smoothing = 0;
};

/// L = -1/N sum_n sum_c q_nc log softmax(x_n)_c, where q is 1 - s at the label plus s / C at every class, s
/// the label smoothing (Szegedy et al., 2016; as in PyTorch). Gradient: (softmax(x) - q) / N.
template <class T>
class SoftmaxCrossEntropy final : public Loss<T> {
 public:
  /// Throws ArgumentError unless 0 <= label_smoothing <= 1.
  explicit SoftmaxCrossEntropy(SoftmaxCrossEntropyOptions options = {});
  LossResult<T> operator()(const Tensor<T>& scores, const Labels& labels) const override;
  std::string type() const override { return "SoftmaxCrossEntropy"; }
  Settings settings() const override { return {{"label_smoothing", smoothing_}}; }
  std::unique_ptr<Loss<T>> clone() const override { return std::make_unique<SoftmaxCrossEntropy>(*this); }

 private:
  double smoothing_;
};

struct MulticlassHingeOptions {
  double margin = 1;
};

/// L = 1/N sum_n sum_{c != y_n} max(0, x_nc - x_ny + margin): the SVM loss of CS231n (Weston and Watkins,
/// 1999). At the kink the gradient is 0.
template <class T>
class MulticlassHinge final : public Loss<T> {
 public:
  /// Throws ArgumentError unless margin > 0.
  explicit MulticlassHinge(MulticlassHingeOptions options = {});
  LossResult<T> operator()(const Tensor<T>& scores, const Labels& labels) const override;
  std::string type() const override { return "MulticlassHinge"; }
  Settings settings() const override { return {{"margin", margin_}}; }
  std::unique_ptr<Loss<T>> clone() const override { return std::make_unique<MulticlassHinge>(*this); }

 private:
  double margin_;
};

/// L = mean over all elements of (x - target)^2, as in PyTorch. Gradient: 2 (x - target) / count.
/// Its targets are tensors of the shape of x, of any rank, so that it is no Loss.
template <class T>
class MeanSquaredError {
 public:
  /// Throws ShapeError for two shapes or no elements.
  LossResult<T> operator()(const Tensor<T>& x, const Tensor<T>& target) const;
};

extern template class SoftmaxCrossEntropy<float>;
extern template class MulticlassHinge<float>;
extern template class MeanSquaredError<float>;

}  // namespace strata
