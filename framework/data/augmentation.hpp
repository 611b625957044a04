// Augmentation and standardization: what happens to a sample on its way into a batch.
#pragma once

#include <span>
#include <vector>

#include "strata/framework/data/dataset.hpp"
#include "strata/framework/export.hpp"
#include "strata/framework/random.hpp"

namespace STRATA_EXPORT strata {

/// Random changes to images (C, H, W) that leave the class alone, in this order.
struct Augmentation {
  /// Pads with this many black pixels (0 before standardization) all around and cuts out an image of the
  /// old size at random; 4 is usual for 32x32.
  Index crop_padding = 0;
  /// Mirrors every second image, left to right.
  bool horizontal_flip = false;
  /// Side of a square that is set to 0 after standardization (the mean color); its center is anywhere in the
  /// image, so it may stick out (DeVries and Taylor, 2017).
  Index cutout = 0;

  bool operator==(const Augmentation&) const = default;
};

/// Per channel, y = (x - mean) / standard_deviation. Channels are the first axis of a sample.
struct Standardization {
  std::vector<double> mean;
  std::vector<double> standard_deviation;

  bool operator==(const Standardization&) const = default;
};

/// The mean and the biased standard deviation of each channel over all samples. Where a channel is constant,
/// the deviation is given as 1, so that it becomes 0.
Standardization standardization_of(const Dataset& dataset);

/// Standardizes samples (N, C, ...) in place, with the bits that a DataLoader gives. Throws ShapeError.
template <class T>
STRATA_EXPORT void standardize(Tensor<T>& samples, const Standardization& standardization);

/// What chance decides for one image. A window that begins at (crop_padding, crop_padding) changes nothing.
struct AugmentationDraw {
  Index crop_top;  ///< first row of the window in the padded image: 0 ... 2 crop_padding
  Index crop_left;
  bool flip;
  Index cutout_top;  ///< may be negative
  Index cutout_left;
};

/// The draws do not depend on which of the augmentations are on.
AugmentationDraw draw_augmentation(const Augmentation& augmentation, const Shape& sample_shape,
                                   Random random);

namespace detail {

/// Throws ArgumentError if the options do not fit samples of this shape.
void check_augmentation(const Augmentation& augmentation, const Shape& sample_shape);
void check_standardization(const Standardization& standardization, const Shape& sample_shape);

/// Standardizes (unless null) without augmentation.
template <class T>
STRATA_EXPORT void prepare_sample(std::span<const float> sample, std::span<T> out,
                                  const Standardization* standardization);

/// Augments and standardizes (unless null) an image of shape (C, H, W).
template <class T>
STRATA_EXPORT void prepare_image(std::span<const float> image, std::span<T> out, const Shape& shape,
                                 const Augmentation& augmentation, const AugmentationDraw& draw,
                                 const Standardization* standardization);

}  // namespace detail

extern template void standardize(Tensor<float>&, const Standardization&);
extern template void standardize(Tensor<double>&, const Standardization&);

}  // namespace strata
