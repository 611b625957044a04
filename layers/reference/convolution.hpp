// Convolution from its formula: what Conv2D and ConvTranspose2D compute. Read it beside the layer's header.
//
// Everything is one list of products. Conv2D is a correlation: output pixel (p, q) of output channel k is the
// sum, over the input channels c of its group and the taps (i, j) of the kernel, of the weight times the
// input pixel under that tap:
//
//   y[n,k,p,q] = bias[k] + sum over c,i,j of weight[k,c,i,j] x[n, c, row, column]
//
//   row    = p stride.h - padding.h + i dilation.h
//   column = q stride.w - padding.w + j dilation.w
//
// where x counts as zero outside of the image, so these products are left out. `for_each_product` lists the
// others: each is one triple of an element of x, one of the weights and one of y.
//
// Backward. y is linear in x and in the weights, so each product y += weight x tells what its factors get
// from dL/dy:
//
//   y[…]       += weight[…] x[…]      convolve
//   dx[…]      += weight[…] dy[…]     convolve_backward_data       (d y / d x = weight)
//   dweight[…] += x[…]      dy[…]     convolve_backward_weights    (d y / d weight = x)
//
// and dbias[k] = sum of dy[n,k,p,q], `sum_per_channel`. The three loops are one and the same; only which of
// the three tensors is summed into differs. That is all that "backpropagation through a convolution" is.
//
// ConvTranspose2D is convolve_backward_data as a forward pass: its x is laid where y is here, its y where x
// is here, and each of its pixels paints the kernel onto the output. Take the ConvolutionShape of the
// convolution that it transposes, `in` the size of its output (output_padding included: the pixels there may
// get no product, and are the bias) and `out` that of its input; then
//
//   forward    convolve_backward_data(shape, x, weight, bias, y)
//   backward   convolve(shape, dy, weight, nullptr, dx)
//              convolve_backward_weights(shape, dy, x, dweight)
//              sum_per_channel(batch, shape.in_channels, shape.in_size(), dy, dbias)
//
// because the transpose of the transpose is the convolution. Its weight is (in, out / groups, kernel.h,
// kernel.w), which is the convolution's (out, in / groups, …), as it must be.
#pragma once

#include <vector>

#include "strata/layers/reference/accumulator.hpp"
#include "strata/layers/reference/convolution_shape.hpp"

namespace strata::reference {

/// Calls visit(x index, weight index, y index) for every product of the formula, output pixel by output
/// pixel. Indices are into the flat, row-major tensors.
template <class Visit>
void for_each_product(const kernels::ConvolutionShape& s, const Visit& visit) {
  const Index channels_of_group = s.group_in_channels();
  for (Index n = 0; n < s.batch; ++n)
    for (Index k = 0; k < s.out_channels; ++k) {
      // Output channel k sees the input channels of its own group, from this one on.
      const Index first_channel = k / s.group_out_channels() * channels_of_group;
      for (Index p = 0; p < s.out.h; ++p)
        for (Index q = 0; q < s.out.w; ++q) {
          const Index y = ((n * s.out_channels + k) * s.out.h + p) * s.out.w + q;
          for (Index c = 0; c < channels_of_group; ++c)
            for (Index i = 0; i < s.kernel.h; ++i) {
              const Index row = p * s.stride.h - s.padding.h + i * s.dilation.h;
              if (row < 0 || row >= s.in.h) continue;  // zero padding
              for (Index j = 0; j < s.kernel.w; ++j) {
                const Index column = q * s.stride.w - s.padding.w + j * s.dilation.w;
                if (column < 0 || column >= s.in.w) continue;  // zero padding
                visit(((n * s.in_channels + first_channel + c) * s.in.h + row) * s.in.w + column,
                      ((k * channels_of_group + c) * s.kernel.h + i) * s.kernel.w + j, y);
              }
            }
        }
    }
}

/// A tensor (batch, channels, size) of which every element is its channel's bias, 0 without one: what the
/// products are added to.
template <class Sum, class T>
Sums<Sum> biases(Index batch, Index channels, Index size, const T* bias) {
  Sums<Sum> sums(batch * channels * size);
  for (Index i = 0; bias && i < sums.size(); ++i) sums[i] = static_cast<Sum>(bias[i / size % channels]);
  return sums;
}

/// y (batch, out_channels, out.h, out.w) from x (batch, in_channels, in.h, in.w); `bias` may be null.
template <class T, class Sum = Accumulator<T>>
void convolve(const kernels::ConvolutionShape& shape, const T* x, const T* weight, const T* bias, T* y) {
  auto sums = biases<Sum>(shape.batch, shape.out_channels, shape.out_size(), bias);
  for_each_product(shape, [&](Index xi, Index wi, Index yi) {
    sums[yi] += static_cast<Sum>(weight[wi]) * static_cast<Sum>(x[xi]);  // y += weight x
  });
  for (Index i = 0; i < sums.size(); ++i) y[i] = static_cast<T>(shape.rectify && sums[i] < 0 ? 0 : sums[i]);
}

/// dx from dy. `bias`, one an input channel, may be null, and is what dx starts from: a transposed
/// convolution has one.
template <class T, class Sum = Accumulator<T>>
void convolve_backward_data(const kernels::ConvolutionShape& shape, const T* dy, const T* weight,
                            const T* bias, T* dx) {
  auto sums = biases<Sum>(shape.batch, shape.in_channels, shape.in_size(), bias);
  for_each_product(shape, [&](Index xi, Index wi, Index yi) {
    sums[xi] += static_cast<Sum>(weight[wi]) * static_cast<Sum>(dy[yi]);  // dx += weight dy
  });
  for (Index i = 0; i < sums.size(); ++i) dx[i] = static_cast<T>(sums[i]);
}

/// dweight (out_channels, in_channels / groups, kernel.h, kernel.w) from x and dy.
template <class T, class Sum = Accumulator<T>>
void convolve_backward_weights(const kernels::ConvolutionShape& shape, const T* x, const T* dy, T* dweight) {
  Sums<Sum> sums(shape.out_channels * shape.filter_size());
  for_each_product(shape, [&](Index xi, Index wi, Index yi) {
    sums[wi] += static_cast<Sum>(x[xi]) * static_cast<Sum>(dy[yi]);  // dweight += x dy
  });
  for (Index i = 0; i < sums.size(); ++i) dweight[i] = static_cast<T>(sums[i]);
}

/// The gradient of a bias: sums[c] = sum over n,i of dy[n,c,i] for dy (batch, channels, size), because
/// bias[c] is added to each of these.
template <class T>
void sum_per_channel(Index batch, Index channels, Index size, const T* dy, T* sums) {
  for (Index c = 0; c < channels; ++c) {
    Accumulator<T> sum = 0;
    for (Index n = 0; n < batch; ++n)
      for (Index i = 0; i < size; ++i) sum += static_cast<Accumulator<T>>(dy[(n * channels + c) * size + i]);
    sums[c] = static_cast<T>(sum);
  }
}

}  // namespace strata::reference
