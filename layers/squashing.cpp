#include "strata/layers/squashing.hpp"

#include <algorithm>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/squashing.hpp"
#include "strata/layers/reference/activations.hpp"

namespace strata {
namespace {

constexpr Index kGrain = Index{1} << 14;

}  // namespace

template <class T>
void Squashing<T>::apply(Tensor<T>& x, T* copy) const {
  const auto count = static_cast<Index>(x.size());
  if (uses_reference()) {
    const auto function =
        function_ == Function::sigmoid ? reference::sigmoid<T> : reference::hyperbolic_tangent<T>;
    function(count, x.data(), x.data());
    if (copy) std::copy_n(x.data(), count, copy);
    return;
  }
  const auto& kernels = kernels::table<kernels::Squashing<T>>();
  const auto kernel = function_ == Function::sigmoid ? kernels.sigmoid : kernels.tanh;
  parallel_ranges(count, kGrain, [&](Index begin, Index end) {
    kernel(x.data() + begin, end - begin, copy ? copy + begin : nullptr);
  });
}

template <class T>
Tensor<T> Squashing<T>::do_forward(Tensor<T> x, Record& record) {
  apply(x, record.keep(empty<T>(x.shape())).data());
  return x;
}

template <class T>
Tensor<T> Squashing<T>::do_infer(Tensor<T> x) const {
  apply(x, nullptr);
  return x;
}

template <class T>
Tensor<T> Squashing<T>::do_backward(Tensor<T> dy, Record& record) {
  const auto kept = record.take<Tensor<T>>();
  const auto count = static_cast<Index>(dy.size());
  if (uses_reference()) {
    const auto backward = function_ == Function::sigmoid ? reference::sigmoid_backward<T>
                                                         : reference::hyperbolic_tangent_backward<T>;
    backward(count, kept.data(), dy.data(), dy.data());
    return dy;
  }
  // The logistic function's derivative is y (1 - y), the hyperbolic tangent's 1 - y^2.
  const bool logistic = function_ == Function::sigmoid;
  const T a = logistic ? 0 : 1, b = logistic ? 1 : 0;
  parallel_ranges(count, kGrain, [&](Index begin, Index end) {
    T* const dx = dy.data();
    const T* const y = kept.data();
    for (Index i = begin; i < end; ++i) dx[i] *= a + y[i] * (b - y[i]);
  });
  return dy;
}

template class Squashing<float>;
template class Squashing<double>;

}  // namespace strata
