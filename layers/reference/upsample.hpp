// Nearest-neighbor upsampling from its formula: what Upsample2D computes. Read it beside the layer's header.
//
//   y[i,j] = x[i / scale.h, j / scale.w]         on each plane; division rounds down
//
// Every pixel of x is copied to a block of scale.h x scale.w pixels of y. Backward: what was copied to
// several places hears from all of them, so that
//
//   dx[r,c] = sum of dy over the block of (r, c).
#pragma once

#include "strata/framework/size_2d.hpp"
#include "strata/layers/reference/accumulator.hpp"

namespace strata::reference {

/// x: planes of size `in`; y: planes of size in * scale.
template <class T>
void upsample(Index planes, Size2D in, Size2D scale, const T* x, T* y) {
  const Size2D out(in.h * scale.h, in.w * scale.w);
  for (Index plane = 0; plane < planes; ++plane)
    for (Index i = 0; i < out.h; ++i)
      for (Index j = 0; j < out.w; ++j)
        y[(plane * out.h + i) * out.w + j] = x[(plane * in.h + i / scale.h) * in.w + j / scale.w];
}

/// dx = the sum of dy over the copies.
template <class T>
void upsample_backward(Index planes, Size2D in, Size2D scale, const T* dy, T* dx) {
  const Size2D out(in.h * scale.h, in.w * scale.w);
  for (Index plane = 0; plane < planes; ++plane)
    for (Index r = 0; r < in.h; ++r)
      for (Index c = 0; c < in.w; ++c) {
        Accumulator<T> sum = 0;
        for (Index i = r * scale.h; i < (r + 1) * scale.h; ++i)
          for (Index j = c * scale.w; j < (c + 1) * scale.w; ++j)
            sum += static_cast<Accumulator<T>>(dy[(plane * out.h + i) * out.w + j]);
        dx[(plane * in.h + r) * in.w + c] = static_cast<T>(sum);
      }
}

}  // namespace strata::reference
