// ImageDataset and TensorDataset: samples that lie in memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "strata/framework/data/dataset.hpp"
#include "strata/framework/export.hpp"
#include "strata/framework/labels.hpp"

namespace STRATA_EXPORT strata {

/// Images of one byte a value.
class ImageDataset final : public Dataset {
 public:
  /// `pixels` are (N, C, H, W), row-major; `image_shape` is (C, H, W). Throws ShapeError if the sizes do not
  /// agree, ArgumentError for a label that has no name.
  ImageDataset(std::vector<std::uint8_t> pixels, Shape image_shape, Labels labels,
               std::vector<std::string> class_names);

  Index size() const override { return static_cast<Index>(labels_.size()); }
  Shape sample_shape() const override { return shape_; }
  Index classes() const override { return static_cast<Index>(class_names_.size()); }
  std::string class_name(Index c) const override;
  std::int32_t label(Index i) const override;
  void read(Index i, std::span<float> sample) const override;

  /// The bytes of image i, (C, H, W).
  std::span<const std::uint8_t> pixels(Index i) const;

 private:
  std::vector<std::uint8_t> pixels_;
  Shape shape_;
  Labels labels_;
  std::vector<std::string> class_names_;
};

/// Samples of any shape, given as a tensor.
class TensorDataset final : public Dataset {
 public:
  /// `samples` is (N, ...). Throws ShapeError if the sizes do not agree, ArgumentError for a label outside
  /// [0, classes).
  TensorDataset(Tensor<float> samples, Labels labels, Index classes);

  Index size() const override { return static_cast<Index>(labels_.size()); }
  Shape sample_shape() const override { return shape_; }
  Index classes() const override { return classes_; }
  std::int32_t label(Index i) const override;
  void read(Index i, std::span<float> sample) const override;

 private:
  Tensor<float> samples_;
  Shape shape_;
  Labels labels_;
  Index classes_;
};

}  // namespace strata
