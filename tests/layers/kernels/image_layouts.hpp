// Tensors (N, C, H, W) whose images lie one way or the other; the shape stays.
#pragma once

#include "strata/framework/graph/image_layout.hpp"
#include "strata/strata.hpp"

namespace strata::testing {

/// The images of `planes` in this layout.
template <class T>
Tensor<T> in_layout(const Tensor<T>& planes, ImageLayout layout) {
  if (layout == ImageLayout::planes) return planes;
  auto pixels = empty<T>(planes.shape());
  T* next = pixels.data();
  for (std::size_t n = 0; n < planes.shape()[0]; ++n)
    for (std::size_t i = 0; i < planes.shape()[2]; ++i)
      for (std::size_t j = 0; j < planes.shape()[3]; ++j)
        for (std::size_t c = 0; c < planes.shape()[1]; ++c) *next++ = planes(n, c, i, j);
  return pixels;
}

/// Its inverse.
template <class T>
Tensor<T> as_planes(const Tensor<T>& images, ImageLayout layout) {
  if (layout == ImageLayout::planes) return images;
  auto planes = empty<T>(images.shape());
  const T* next = images.data();
  for (std::size_t n = 0; n < planes.shape()[0]; ++n)
    for (std::size_t i = 0; i < planes.shape()[2]; ++i)
      for (std::size_t j = 0; j < planes.shape()[3]; ++j)
        for (std::size_t c = 0; c < planes.shape()[1]; ++c) planes(n, c, i, j) = *next++;
  return planes;
}

/// One that images of so many channels may have.
inline ImageLayout random_layout(Index channels, Random& random) {
  const bool pixels = channels % kPixelChannels == 0 && random.below(4) != 0;
  return pixels ? ImageLayout::pixels : ImageLayout::planes;
}

}  // namespace strata::testing
