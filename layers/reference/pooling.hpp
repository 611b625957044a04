// Pooling from its formulas: what MaxPool2D, AvgPool2D and GlobalAvgPool2D compute. Read it beside the
// layers' headers.
//
// A window slides over each plane (one channel of one image) in steps of the stride; result (p, q) comes from
// the pixels
//
//   row    = p stride.h - padding.h + i,   0 <= i < window.h
//   column = q stride.w - padding.w + j,   0 <= j < window.w
//
// that lie inside of the plane. The padding is -infinity for a maximum and 0 for a mean: either way it adds
// nothing, so these pixels are left out. (At most half a window is padding, so that no window is empty.)
//
//   maximum    y = x at the place of the largest
//   mean       y = sum of x / divisor
//
// Backward. A maximum is a choice: while the largest stays the largest, y moves as that one pixel does and
// not at all with the others. So dy goes to the place of the maximum, which forward wrote down. (Where two
// are equal, the derivative does not exist; the first of them in row-major order gets dy.) A mean is linear:
// every pixel of the window gets dy / divisor. Windows may overlap, so that dx adds up what all windows send.
#pragma once

#include <cmath>
#include <optional>
#include <vector>

#include "strata/framework/size_2d.hpp"
#include "strata/framework/tensor.hpp"
#include "strata/layers/reference/accumulator.hpp"

namespace strata::reference {

/// `planes` planes of size `in`, of which each becomes one of size `out`.
struct PoolingShape {
  Index planes;
  Size2D in;
  Size2D out;
  Size2D window;
  Size2D stride;
  Size2D padding;

  /// Of x (N, C, H, W), out = floor((in + 2 padding - window) / stride) + 1. `stride` is the window if not
  /// given.
  static PoolingShape of(const Shape& x, Size2D window, std::optional<Size2D> stride, Size2D padding) {
    const Size2D in(static_cast<Index>(x[2]), static_cast<Index>(x[3])), step = stride.value_or(window);
    return {.planes = static_cast<Index>(x[0] * x[1]),
            .in = in,
            .out = {(in.h + 2 * padding.h - window.h) / step.h + 1,
                    (in.w + 2 * padding.w - window.w) / step.w + 1},
            .window = window,
            .stride = step,
            .padding = padding};
  }

  Index in_size() const { return in.h * in.w; }
  Index out_size() const { return out.h * out.w; }
};

/// Calls visit(place) for the pixels of a plane that lie under the window of `result`, row by row. Places and
/// results are row * width + column, in x's plane and in y's.
template <class Visit>
void for_each_in_window(const PoolingShape& s, Index result, const Visit& visit) {
  const Index top = result / s.out.w * s.stride.h - s.padding.h;
  const Index left = result % s.out.w * s.stride.w - s.padding.w;
  for (Index row = top; row < top + s.window.h; ++row)
    for (Index column = left; column < left + s.window.w; ++column)
      if (row >= 0 && row < s.in.h && column >= 0 && column < s.in.w) visit(row * s.in.w + column);
}

/// y = the maximum under the window, and the place in its plane where that was: the first of equals. A NaN
/// counts as larger than every number, so that it is not hidden; the first of several is taken. `places` may
/// be null.
template <class T>
void max_pool(const PoolingShape& shape, const T* x, T* y, Index* places) {
  for (Index plane = 0; plane < shape.planes; ++plane)
    for (Index result = 0; result < shape.out_size(); ++result) {
      const T* const pixels = x + plane * shape.in_size();
      Index best = -1;
      for_each_in_window(shape, result, [&](Index place) {
        // Not "pixels[place] > pixels[best]", which is false if either is NaN.
        if (best < 0 || (!std::isnan(pixels[best]) && !(pixels[place] <= pixels[best]))) best = place;
      });
      y[plane * shape.out_size() + result] = pixels[best];
      if (places) places[plane * shape.out_size() + result] = best;
    }
}

/// dx[place of the maximum] += dy, from the places that max_pool wrote.
template <class T>
void max_pool_backward(const PoolingShape& shape, const T* dy, const Index* places, T* dx) {
  for (Index plane = 0; plane < shape.planes; ++plane) {
    Sums<Accumulator<T>> sums(shape.in_size());
    for (Index result = 0; result < shape.out_size(); ++result) {
      const Index i = plane * shape.out_size() + result;
      sums[places[i]] += static_cast<Accumulator<T>>(dy[i]);
    }
    for (Index place = 0; place < shape.in_size(); ++place)
      dx[plane * shape.in_size() + place] = static_cast<T>(sums[place]);
  }
}

/// What a window's sum is divided by: its size, padding included, or the number of its pixels that lie inside
/// of the plane.
inline Index divisor(const PoolingShape& shape, Index result, bool count_include_pad) {
  if (count_include_pad) return shape.window.h * shape.window.w;
  Index inside = 0;
  for_each_in_window(shape, result, [&](Index) { ++inside; });
  return inside;
}

/// y = sum of x under the window / divisor.
template <class T>
void average_pool(const PoolingShape& shape, bool count_include_pad, const T* x, T* y) {
  using Sum = Accumulator<T>;
  for (Index plane = 0; plane < shape.planes; ++plane)
    for (Index result = 0; result < shape.out_size(); ++result) {
      Sum sum = 0;
      for_each_in_window(shape, result,
                         [&](Index place) { sum += static_cast<Sum>(x[plane * shape.in_size() + place]); });
      const auto count = static_cast<Sum>(divisor(shape, result, count_include_pad));
      y[plane * shape.out_size() + result] = static_cast<T>(sum / count);
    }
}

/// dx += dy / divisor, for every pixel under the window.
template <class T>
void average_pool_backward(const PoolingShape& shape, bool count_include_pad, const T* dy, T* dx) {
  using Sum = Accumulator<T>;
  for (Index plane = 0; plane < shape.planes; ++plane) {
    Sums<Sum> sums(shape.in_size());
    for (Index result = 0; result < shape.out_size(); ++result) {
      const auto count = static_cast<Sum>(divisor(shape, result, count_include_pad));
      const Sum share = static_cast<Sum>(dy[plane * shape.out_size() + result]) / count;
      for_each_in_window(shape, result, [&](Index place) { sums[place] += share; });
    }
    for (Index place = 0; place < shape.in_size(); ++place)
      dx[plane * shape.in_size() + place] = static_cast<T>(sums[place]);
  }
}

/// y = the mean of each plane of `pixels` pixels.
template <class T>
void global_average_pool(Index planes, Index pixels, const T* x, T* y) {
  using Sum = Accumulator<T>;
  for (Index plane = 0; plane < planes; ++plane) {
    Sum sum = 0;
    for (Index i = 0; i < pixels; ++i) sum += static_cast<Sum>(x[plane * pixels + i]);
    y[plane] = static_cast<T>(sum / static_cast<Sum>(pixels));
  }
}

/// dx = dy / pixels, all over the plane.
template <class T>
void global_average_pool_backward(Index planes, Index pixels, const T* dy, T* dx) {
  using Sum = Accumulator<T>;
  for (Index i = 0; i < planes * pixels; ++i)
    dx[i] = static_cast<T>(static_cast<Sum>(dy[i / pixels]) / static_cast<Sum>(pixels));
}

}  // namespace strata::reference
