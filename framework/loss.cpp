#include "strata/framework/loss.hpp"

#include <cmath>
#include <numeric>
#include <string>

#include "strata/framework/error.hpp"
#include "strata/framework/runtime/parallel.hpp"

namespace strata {
namespace {

void check(const char* loss, const Shape& scores, const Labels& labels) {
  const std::string name = loss;
  if (scores.size() != 2 || scores[0] == 0 || scores[1] == 0)
    throw ShapeError(name + ": expected scores (N, classes) of at least one sample and class, got " +
                     to_string(scores));
  if (labels.size() != scores[0])
    throw ShapeError(name + ": expected " + std::to_string(scores[0]) + " labels for scores " +
                     to_string(scores) + ", got " + std::to_string(labels.size()));
  for (std::size_t n = 0; n < labels.size(); ++n)
    if (labels[n] < 0 || static_cast<std::size_t>(labels[n]) >= scores[1])
      throw ArgumentError(name + ": label " + std::to_string(labels[n]) + " of sample " + std::to_string(n) +
                          " is out of range for " + std::to_string(scores[1]) + " classes");
}

// Runs body(x, label, gradient) for the row of each sample; it returns the loss of the sample.
template <class T, class Body>
LossResult<T> mean_over_rows(const Tensor<T>& scores, const Labels& labels, const Body& body) {
  const auto classes = static_cast<Index>(scores.shape()[1]);
  std::vector<double> losses(labels.size());
  auto gradient = empty<T>(scores.shape());
  const Index rows_worth_a_thread = std::max<Index>(1, (Index{1} << 12) / classes);
  parallel_ranges(static_cast<Index>(labels.size()), rows_worth_a_thread, [&](Index begin, Index end) {
    for (Index n = begin; n < end; ++n)
      losses[n] = body(scores.data() + n * classes, Index{labels[n]}, gradient.data() + n * classes);
  });
  const double total = std::accumulate(losses.begin(), losses.end(), 0.0);
  return {total / static_cast<double>(labels.size()), std::move(gradient)};
}

}  // namespace

template <class T>
SoftmaxCrossEntropy<T>::SoftmaxCrossEntropy(SoftmaxCrossEntropyOptions options)
    : smoothing_(options.label_smoothing) {
  if (!(smoothing_ >= 0 && smoothing_ <= 1))
    throw ArgumentError("SoftmaxCrossEntropy: expected label_smoothing in [0, 1], got " +
                        std::to_string(smoothing_));
}

template <class T>
LossResult<T> SoftmaxCrossEntropy<T>::operator()(const Tensor<T>& scores, const Labels& labels) const {
  check("SoftmaxCrossEntropy", scores.shape(), labels);
  const auto classes = static_cast<Index>(scores.shape()[1]);
  const double batch = static_cast<double>(labels.size());
  const double each = smoothing_ / static_cast<double>(classes);
  return mean_over_rows(scores, labels, [&](const T* x, Index label, T* gradient) {
    // softmax does not change when the largest score is subtracted; then no exponential overflows.
    const double top = *std::max_element(x, x + classes);
    double sum_of_exp = 0, sum = 0;
    for (Index c = 0; c < classes; ++c) {
      sum_of_exp += std::exp(x[c] - top);
      if (smoothing_ > 0) sum += x[c] - top;
    }
    const double log_sum_exp = std::log(sum_of_exp);
    for (Index c = 0; c < classes; ++c)
      gradient[c] = static_cast<T>((std::exp(x[c] - top - log_sum_exp) - each) / batch);
    gradient[label] -= static_cast<T>((1 - smoothing_) / batch);
    return log_sum_exp - (1 - smoothing_) * (x[label] - top) - each * sum;
  });
}

template <class T>
MulticlassHinge<T>::MulticlassHinge(MulticlassHingeOptions options) : margin_(options.margin) {
  if (!(margin_ > 0) || !std::isfinite(margin_))
    throw ArgumentError("MulticlassHinge: expected a margin above 0, got " + std::to_string(margin_));
}

template <class T>
LossResult<T> MulticlassHinge<T>::operator()(const Tensor<T>& scores, const Labels& labels) const {
  check("MulticlassHinge", scores.shape(), labels);
  const auto classes = static_cast<Index>(scores.shape()[1]);
  const double batch = static_cast<double>(labels.size());
  return mean_over_rows(scores, labels, [&](const T* x, Index label, T* gradient) {
    double loss = 0;
    Index violations = 0;
    for (Index c = 0; c < classes; ++c) {
      const double excess = c == label ? 0 : double{x[c]} - double{x[label]} + margin_;
      const bool violated = !(excess <= 0);  // so that a NaN is passed on
      gradient[c] = static_cast<T>(violated ? 1 / batch : 0);
      violations += violated;
      if (violated) loss += excess;
    }
    gradient[label] = static_cast<T>(-static_cast<double>(violations) / batch);
    return loss;
  });
}

template <class T>
LossResult<T> MeanSquaredError<T>::operator()(const Tensor<T>& x, const Tensor<T>& target) const {
  if (x.shape() != target.shape())
    throw ShapeError("MeanSquaredError: expected a target of shape " + to_string(x.shape()) + ", got " +
                     to_string(target.shape()));
  if (x.size() == 0)
    throw ShapeError("MeanSquaredError: expected at least one element, got " + to_string(x.shape()));
  const double count = static_cast<double>(x.size());
  double sum = 0;
  auto gradient = empty<T>(x.shape());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double difference = double{x.data()[i]} - double{target.data()[i]};
    sum += difference * difference;
    gradient.data()[i] = static_cast<T>(2 * difference / count);
  }
  return {sum / count, std::move(gradient)};
}

template class SoftmaxCrossEntropy<float>;
template class SoftmaxCrossEntropy<double>;
template class MulticlassHinge<float>;
template class MulticlassHinge<double>;
template class MeanSquaredError<float>;
template class MeanSquaredError<double>;

}  // namespace strata
