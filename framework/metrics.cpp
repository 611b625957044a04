#include "strata/framework/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <ostream>

#include "strata/framework/error.hpp"
#include "strata/framework/text_table.hpp"

namespace strata {
namespace {

void check_scores(const char* name, const Shape& scores) {
  if (scores.size() != 2 || scores[0] == 0 || scores[1] == 0)
    throw ShapeError(std::string(name) +
                     ": expected scores (N, classes) of at least one sample and class, got " +
                     to_string(scores));
}

std::string percent(Index part, Index whole) {
  if (whole == 0) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

template <class T>
bool has_nan(const T* row, std::size_t classes) {
  return std::any_of(row, row + classes, [](T score) { return std::isnan(score); });
}

}  // namespace

template <class T>
Labels predictions(const Tensor<T>& scores) {
  check_scores("predictions", scores.shape());
  const std::size_t classes = scores.shape()[1];
  Labels best(scores.shape()[0]);
  for (std::size_t n = 0; n < best.size(); ++n) {
    const T* row = scores.data() + n * classes;
    best[n] = has_nan(row, classes) ? kNoClass
                                    : static_cast<std::int32_t>(std::max_element(row, row + classes) - row);
  }
  return best;
}

template <class T>
double accuracy(const Tensor<T>& scores, const Labels& labels) {
  return top_k_accuracy(scores, labels, 1);
}

template <class T>
double top_k_accuracy(const Tensor<T>& scores, const Labels& labels, Index k) {
  check_scores("accuracy", scores.shape());
  const std::size_t classes = scores.shape()[1];
  if (labels.size() != scores.shape()[0])
    throw ShapeError("accuracy: expected " + std::to_string(scores.shape()[0]) + " labels for scores " +
                     to_string(scores.shape()) + ", got " + std::to_string(labels.size()));
  if (k < 1 || static_cast<std::size_t>(k) > classes)
    throw ArgumentError("accuracy: expected k in [1, " + std::to_string(classes) + "], got " +
                        std::to_string(k));
  Index right = 0;
  for (std::size_t n = 0; n < labels.size(); ++n) {
    const auto label = static_cast<std::size_t>(labels[n]);
    if (labels[n] < 0 || label >= classes)
      throw ArgumentError("accuracy: label " + std::to_string(labels[n]) + " of sample " + std::to_string(n) +
                          " is out of range for " + std::to_string(classes) + " classes");
    const T* row = scores.data() + n * classes;
    Index rank = 0;
    for (std::size_t c = 0; c < classes; ++c)
      rank += row[c] > row[label] || (row[c] == row[label] && c < label);
    right += rank < k && !has_nan(row, classes);
  }
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

ConfusionMatrix::ConfusionMatrix(Index classes, std::vector<std::string> names)
    : classes_(classes), names_(std::move(names)) {
  if (classes < 1)
    throw ArgumentError("ConfusionMatrix: expected at least one class, got " + std::to_string(classes));
  if (names_.empty())
    for (Index c = 0; c < classes; ++c) names_.push_back(std::to_string(c));
  if (static_cast<Index>(names_.size()) != classes)
    throw ArgumentError("ConfusionMatrix: expected " + std::to_string(classes) + " names, got " +
                        std::to_string(names_.size()));
  counts_.resize(static_cast<std::size_t>(classes * (classes + 1)));
}

void ConfusionMatrix::add(const Labels& labels, const Labels& predicted) {
  if (labels.size() != predicted.size())
    throw ShapeError("ConfusionMatrix: expected as many predictions as labels, got " +
                     std::to_string(predicted.size()) + " for " + std::to_string(labels.size()));
  for (const Labels* list : {&labels, &predicted})
    for (std::size_t n = 0; n < list->size(); ++n)
      if ((*list)[n] < (list == &labels ? 0 : kNoClass) || (*list)[n] >= classes_)
        throw ArgumentError(std::string("ConfusionMatrix: ") + (list == &labels ? "label " : "prediction ") +
                            std::to_string((*list)[n]) + " of sample " + std::to_string(n) +
                            " is out of range for " + std::to_string(classes_) + " classes");
  for (std::size_t n = 0; n < labels.size(); ++n) ++counts_[place_of(labels[n], predicted[n])];
}

Index ConfusionMatrix::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), Index{0});
}

Index ConfusionMatrix::count(Index label, Index predicted) const {
  if (label < 0 || label >= classes_ || predicted < kNoClass || predicted >= classes_)
    throw ArgumentError("ConfusionMatrix: (" + std::to_string(label) + ", " + std::to_string(predicted) +
                        ") is out of range for " + std::to_string(classes_) + " classes");
  return counts_[place_of(label, predicted)];
}

Index ConfusionMatrix::row_sum(Index label) const {
  Index sum = 0;
  for (Index c = kNoClass; c < classes_; ++c) sum += count(label, c);
  return sum;
}

Index ConfusionMatrix::column_sum(Index predicted) const {
  Index sum = 0;
  for (Index c = 0; c < classes_; ++c) sum += count(c, predicted);
  return sum;
}

double ConfusionMatrix::accuracy() const {
  Index right = 0;
  for (Index c = 0; c < classes_; ++c) right += count(c, c);
  return static_cast<double>(right) / static_cast<double>(total());
}

double ConfusionMatrix::recall(Index label) const {
  return static_cast<double>(count(label, label)) / static_cast<double>(row_sum(label));
}

double ConfusionMatrix::precision(Index predicted) const {
  return static_cast<double>(count(predicted, predicted)) / static_cast<double>(column_sum(predicted));
}

std::string ConfusionMatrix::to_string() const {
  std::vector<std::vector<std::string>> rows{{"label \\ predicted"}};
  rows[0].insert(rows[0].end(), names_.begin(), names_.end());
  const bool has_none = column_sum(kNoClass) > 0;
  if (has_none) rows[0].push_back("none");
  rows[0].push_back("recall");
  std::vector<std::string> last{"precision"};
  Index right = 0;
  for (Index label = 0; label < classes_; ++label) {
    std::vector<std::string> row{names_[label]};
    for (Index predicted = 0; predicted < classes_; ++predicted)
      row.push_back(std::to_string(count(label, predicted)));
    if (has_none) row.push_back(std::to_string(count(label, kNoClass)));
    row.push_back(percent(count(label, label), row_sum(label)));
    rows.push_back(std::move(row));
    last.push_back(percent(count(label, label), column_sum(label)));
    right += count(label, label);
  }
  if (has_none) last.emplace_back("-");
  last.push_back(percent(right, total()));
  rows.push_back(std::move(last));
  return table(rows, {Align::left, Align::right});
}

std::ostream& operator<<(std::ostream& stream, const ConfusionMatrix& matrix) {
  return stream << matrix.to_string();
}

template Labels predictions(const Tensor<float>&);
template Labels predictions(const Tensor<double>&);
template double accuracy(const Tensor<float>&, const Labels&);
template double accuracy(const Tensor<double>&, const Labels&);
template double top_k_accuracy(const Tensor<float>&, const Labels&, Index);
template double top_k_accuracy(const Tensor<double>&, const Labels&, Index);

}  // namespace strata
