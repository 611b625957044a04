#include "strata/layers/tanh.hpp"

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/squashing.hpp"

namespace strata {
namespace {

constexpr Index kGrain = Index{1} << 14;

}  // namespace

template <class T>
Tensor<T> Tanh<T>::do_forward(Tensor<T> x) {
  y_ = empty<T>(x.shape());
  const auto& kernel = kernels::table<kernels::Squashing<T>>();
  parallel_ranges(static_cast<Index>(x.size()), kGrain, [&](Index begin, Index end) {
    kernel.tanh(x.data() + begin, end - begin, y_.data() + begin);
  });
  return x;
}

template <class T>
Tensor<T> Tanh<T>::do_backward(Tensor<T> dy) {
  parallel_ranges(static_cast<Index>(dy.size()), kGrain, [&](Index begin, Index end) {
    T* const dx = dy.data();
    const T* const y = y_.data();
    for (Index i = begin; i < end; ++i) dx[i] *= 1 - y[i] * y[i];
  });
  y_ = Tensor<T>();
  return dy;
}

template <class T>
Tensor<T> Tanh<T>::do_infer(Tensor<T> x) const {
  const auto& kernel = kernels::table<kernels::Squashing<T>>();
  parallel_ranges(static_cast<Index>(x.size()), kGrain,
                  [&](Index begin, Index end) { kernel.tanh(x.data() + begin, end - begin, nullptr); });
  return x;
}

template class Tanh<float>;
template class Tanh<double>;

}  // namespace strata
