#include "strata/optim/update_kernels.hpp"

#include <cmath>

#include "strata/framework/runtime/kernel_table.hpp"

namespace strata::kernels {
namespace {

template <class T>
void sgd(T* __restrict w, const T* __restrict g, Index count, T learning_rate, T weight_decay) {
  for (Index i = 0; i < count; ++i) w[i] -= learning_rate * (g[i] + weight_decay * w[i]);
}

template <bool Nesterov, class T>
void momentum_loop(T* __restrict w, const T* __restrict g, T* __restrict buffer, Index count,
                   typename Updates<T>::Momentum with) {
  for (Index i = 0; i < count; ++i) {
    const T gradient = g[i] + with.weight_decay * w[i];
    buffer[i] = with.momentum * buffer[i] + with.fresh * gradient;
    w[i] -= with.learning_rate * (Nesterov ? gradient + with.momentum * buffer[i] : buffer[i]);
  }
}

template <class T>
void momentum(T* w, const T* g, T* buffer, Index count, const typename Updates<T>::Momentum& with) {
  (with.nesterov ? momentum_loop<true, T> : momentum_loop<false, T>)(w, g, buffer, count, with);
}

template <class T>
void adagrad(T* __restrict w, const T* __restrict g, T* __restrict sum, Index count, T learning_rate, T eps,
             T weight_decay) {
  for (Index i = 0; i < count; ++i) {
    const T gradient = g[i] + weight_decay * w[i];
    sum[i] += gradient * gradient;
    w[i] -= learning_rate * gradient / (std::sqrt(sum[i]) + eps);
  }
}

template <bool Centered, bool WithMomentum, class T>
void rms_prop_loop(T* __restrict w, const T* __restrict g, T* __restrict square, T* __restrict average,
                   T* __restrict buffer, Index count, typename Updates<T>::RMSProp with) {
  for (Index i = 0; i < count; ++i) {
    const T gradient = g[i] + with.weight_decay * w[i];
    square[i] = with.alpha * square[i] + with.fresh * gradient * gradient;
    T variance = square[i];
    if constexpr (Centered) {
      average[i] = with.alpha * average[i] + with.fresh * gradient;
      variance -= average[i] * average[i];
      variance = variance > T{0} ? variance : T{0};  // rounding can take it below zero
    }
    T move = gradient / (std::sqrt(variance) + with.eps);
    if constexpr (WithMomentum) move = buffer[i] = with.momentum * buffer[i] + move;
    w[i] -= with.learning_rate * move;
  }
}

template <class T>
void rms_prop(T* w, const T* g, T* square, T* average, T* buffer, Index count,
              const typename Updates<T>::RMSProp& with) {
  const auto loop = average ? (buffer ? rms_prop_loop<true, true, T> : rms_prop_loop<true, false, T>)
                            : (buffer ? rms_prop_loop<false, true, T> : rms_prop_loop<false, false, T>);
  loop(w, g, square, average, buffer, count, with);
}

template <class T>
void adam(T* __restrict w, const T* __restrict g, T* __restrict average, T* __restrict square, Index count,
          const typename Updates<T>::Adam& options) {
  const typename Updates<T>::Adam with = options;  // a copy that the stores below cannot touch
  for (Index i = 0; i < count; ++i) {
    const T gradient = g[i] + with.weight_decay * w[i];
    average[i] = with.beta1 * average[i] + with.fresh1 * gradient;
    square[i] = with.beta2 * square[i] + with.fresh2 * gradient * gradient;
    w[i] =
        with.keep * w[i] - with.step_size * average[i] / (std::sqrt(square[i]) / with.correction2 + with.eps);
  }
}

// In double and in lanes that are added in a fixed order: accurate, and the same bits at every width.
template <class T>
double sum_of_squares(const T* x, Index count) {
  constexpr Index kLanes = 16;
  double lanes[kLanes] = {};
  const Index whole = count - count % kLanes;
  for (Index i = 0; i < whole; i += kLanes)
    for (Index lane = 0; lane < kLanes; ++lane) {
      const double value = static_cast<double>(x[i + lane]);
      lanes[lane] += value * value;
    }
  for (Index i = whole; i < count; ++i) {
    const double value = static_cast<double>(x[i]);
    lanes[i - whole] += value * value;
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

template <class T>
void scale(T* x, Index count, T factor) {
  for (Index i = 0; i < count; ++i) x[i] *= factor;
}

template <class T>
constexpr Updates<T> kTable{sgd<T>,  momentum<T>,       adagrad<T>, rms_prop<T>,
                            adam<T>, sum_of_squares<T>, scale<T>};

}  // namespace

STRATA_KERNEL_TABLE(kTable<float>);
STRATA_KERNEL_TABLE(kTable<double>);

}  // namespace strata::kernels
