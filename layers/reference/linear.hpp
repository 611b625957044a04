// The fully connected layer from its formula: what Linear computes. Read it beside the layer's header.
//
//   y[n,o] = bias[o] + sum over i of weight[o,i] x[n,i]            y = x W^T + b
//
// Backward. Each product y[n,o] += weight[o,i] x[n,i] is linear in both of its factors, so from dy = dL/dy
//
//   dx[n,i]      = sum over o of weight[o,i] dy[n,o]               dx = dy W
//   dweight[o,i] = sum over n of dy[n,o] x[n,i]                    dW = dy^T x
//   dbias[o]     = sum over n of dy[n,o]
//
// What is summed over is each time the index that the result does not have: weights are shared by the
// samples, so their gradients add up over the batch.
#pragma once

#include "strata/framework/index.hpp"
#include "strata/layers/reference/accumulator.hpp"

namespace strata::reference {

/// x (batch, in), weight (out, in), bias (out) or null, y (batch, out).
template <class T>
void linear(Index batch, Index in, Index out, const T* x, const T* weight, const T* bias, T* y) {
  using Sum = Accumulator<T>;
  for (Index n = 0; n < batch; ++n)
    for (Index o = 0; o < out; ++o) {
      Sum sum = bias ? static_cast<Sum>(bias[o]) : 0;
      for (Index i = 0; i < in; ++i)
        sum += static_cast<Sum>(weight[o * in + i]) * static_cast<Sum>(x[n * in + i]);
      y[n * out + o] = static_cast<T>(sum);
    }
}

/// dx = dy W.
template <class T>
void linear_backward_data(Index batch, Index in, Index out, const T* dy, const T* weight, T* dx) {
  using Sum = Accumulator<T>;
  for (Index n = 0; n < batch; ++n)
    for (Index i = 0; i < in; ++i) {
      Sum sum = 0;
      for (Index o = 0; o < out; ++o)
        sum += static_cast<Sum>(weight[o * in + i]) * static_cast<Sum>(dy[n * out + o]);
      dx[n * in + i] = static_cast<T>(sum);
    }
}

/// dweight = dy^T x and dbias = sum over the batch of dy; dbias is null without a bias.
template <class T>
void linear_backward_parameters(Index batch, Index in, Index out, const T* x, const T* dy, T* dweight,
                                T* dbias) {
  using Sum = Accumulator<T>;
  for (Index o = 0; o < out; ++o) {
    for (Index i = 0; i < in; ++i) {
      Sum sum = 0;
      for (Index n = 0; n < batch; ++n)
        sum += static_cast<Sum>(dy[n * out + o]) * static_cast<Sum>(x[n * in + i]);
      dweight[o * in + i] = static_cast<T>(sum);
    }
    Sum sum = 0;
    for (Index n = 0; n < batch; ++n) sum += static_cast<Sum>(dy[n * out + o]);
    if (dbias) dbias[o] = static_cast<T>(sum);
  }
}

}  // namespace strata::reference
