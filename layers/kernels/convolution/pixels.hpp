// Activations with the channels innermost ("pixels"), the form in which convolution reads and writes them:
// one pixel's channels fill vectors, whatever the image's size.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// Pixel (row, column) starts at data + row * row_stride + column * channels.
struct Pixels {
  float* data;
  Index row_stride;
  Index channels;

  Pixels at(Index row, Index column) const {
    return {data + row * row_stride + column * channels, row_stride, channels};
  }
  Pixels from_channel(Index channel) const { return {data + channel, row_stride, channels}; }
};

struct PixelLayout {
  /// Floats of a vector.
  Index lanes;
  /// pixels(r, q)[c] = planes[c * plane + r * width + q]; 0 for c from `channels` up to pixels.channels.
  void (*to_pixels)(const float* planes, Index plane, Index channels, Index rows, Index width, Pixels pixels);
  /// planes[c * plane + r * width + q] = pixels(r, q)[c] + bias[c]; `bias` may be null. pixels.channels is a
  /// multiple of lanes.
  void (*from_pixels)(Pixels pixels, const float* bias, float* planes, Index plane, Index channels,
                      Index rows, Index width);
  /// to(r, q)[c] = from(r, q)[c], for `channels` of them, a multiple of lanes.
  void (*copy)(Pixels from, Index channels, Index rows, Index width, Pixels to);
};

}  // namespace strata::kernels
