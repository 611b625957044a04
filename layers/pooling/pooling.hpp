// What the pooling layers share: a window that slides over a padded image.
#pragma once

#include <optional>
#include <string>

#include "strata/framework/export.hpp"
#include "strata/framework/size_2d.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

/// (N, C, H, W) -> (N, C, H', W') with H' = floor((H + 2 padding - window) / stride) + 1, W' alike.
struct Pooling {
  Size2D window;
  Size2D stride;
  Size2D padding;

  /// `stride` is the window unless given. Throws ArgumentError, naming the layer's type, unless window and
  /// stride are at least 1 and padding is from 0 to half the window.
  Pooling(const char* type, Size2D window, std::optional<Size2D> stride, Size2D padding);

  /// Whether an image of this shape is large enough.
  bool fits(const Shape& input) const;
  Shape output_shape(const Shape& input) const;
  /// "(N, C, H, W) with H >= 3 and W >= 3"
  std::string expected() const;
  /// "window 3x3, stride 2x2, padding 1x1"
  std::string options() const;
};

}  // namespace strata
