#include "strata/framework/data/in_memory.hpp"

#include <algorithm>

#include "strata/framework/error.hpp"

namespace strata {
namespace {

void check_labels(const char* type, const Labels& labels, Index classes) {
  const std::string name = type;
  if (labels.empty()) throw ArgumentError(name + ": at least one sample is needed");
  if (classes < 1) throw ArgumentError(name + ": at least one class is needed");
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] < 0 || labels[i] >= classes)
      throw ArgumentError(name + ": label " + std::to_string(labels[i]) + " of sample " + std::to_string(i) +
                          " is outside [0, " + std::to_string(classes) + ")");
}

void check_number(const char* type, const char* what, Index i, Index size) {
  if (i < 0 || i >= size)
    throw ArgumentError(std::string(type) + ": " + what + " " + std::to_string(i) + " of " +
                        std::to_string(size));
}

void check_room(const char* type, std::size_t room, const Shape& shape) {
  if (static_cast<Index>(room) != element_count(shape))
    throw ShapeError(std::string(type) + ": a sample has shape " + to_string(shape) + ", got room for " +
                     std::to_string(room) + " values");
}

}  // namespace

ImageDataset::ImageDataset(std::vector<std::uint8_t> pixels, Shape image_shape, Labels labels,
                           std::vector<std::string> class_names)
    : pixels_(std::move(pixels)),
      shape_(std::move(image_shape)),
      labels_(std::move(labels)),
      class_names_(std::move(class_names)) {
  if (shape_.size() != 3 || detail::checked_count(shape_).value_or(0) == 0)
    throw ShapeError("ImageDataset: expected an image shape (C, H, W), got " + to_string(shape_));
  check_labels("ImageDataset", labels_, classes());
  if (detail::checked_count(shape_, size()) != static_cast<Index>(pixels_.size()))
    throw ShapeError("ImageDataset: expected " + std::to_string(size()) + " images of shape " +
                     to_string(shape_) + ", one for each label, got " + std::to_string(pixels_.size()) +
                     " bytes");
}

std::string ImageDataset::class_name(Index c) const {
  check_number("ImageDataset", "class", c, classes());
  return class_names_[c];
}

std::int32_t ImageDataset::label(Index i) const {
  check_number("ImageDataset", "sample", i, size());
  return labels_[i];
}

std::span<const std::uint8_t> ImageDataset::pixels(Index i) const {
  check_number("ImageDataset", "sample", i, size());
  const Index count = element_count(shape_);
  return {pixels_.data() + i * count, static_cast<std::size_t>(count)};
}

void ImageDataset::read(Index i, std::span<float> sample) const {
  const auto bytes = pixels(i);
  check_room("ImageDataset", sample.size(), shape_);
  std::transform(bytes.begin(), bytes.end(), sample.begin(),
                 [](std::uint8_t value) { return static_cast<float>(value) / 255.0F; });
}

TensorDataset::TensorDataset(Tensor<float> samples, Labels labels, Index classes)
    : samples_(std::move(samples)), labels_(std::move(labels)), classes_(classes) {
  check_labels("TensorDataset", labels_, classes_);
  const Shape& shape = samples_.shape();
  if (shape.size() < 2 || static_cast<Index>(shape[0]) != size() || samples_.size() == 0)
    throw ShapeError("TensorDataset: expected samples of shape (" + std::to_string(size()) +
                     ", ...), one for each label, got " + to_string(shape));
  shape_ = Shape(shape.begin() + 1, shape.end());
}

std::int32_t TensorDataset::label(Index i) const {
  check_number("TensorDataset", "sample", i, size());
  return labels_[i];
}

void TensorDataset::read(Index i, std::span<float> sample) const {
  check_number("TensorDataset", "sample", i, size());
  check_room("TensorDataset", sample.size(), shape_);
  std::copy_n(samples_.data() + i * static_cast<Index>(sample.size()), sample.size(), sample.begin());
}

}  // namespace strata
