#include "strata/layers/relu.hpp"

#include "strata/framework/instruction_set.hpp"
#include "strata/framework/parallel.hpp"
#include "strata/layers/kernels/rectifier.hpp"

namespace strata {
namespace {

constexpr Index kGrain = Index{1} << 16;  // a multiple of 8, so that no two pieces share a byte of the mask

}  // namespace

template <class T>
Tensor<T> ReLU<T>::do_forward(Tensor<T> x) {
  const auto count = static_cast<Index>(x.size());
  positive_.resize(static_cast<std::size_t>((count + 7) / 8));
  const auto& kernel = kernels::table<kernels::Rectifier<T>>();
  parallel_ranges(count, kGrain, [&](Index begin, Index end) {
    kernel.forward(x.data() + begin, positive_.data() + begin / 8, end - begin);
  });
  return x;
}

template <class T>
Tensor<T> ReLU<T>::do_backward(Tensor<T> dy) {
  const auto& kernel = kernels::table<kernels::Rectifier<T>>();
  parallel_ranges(static_cast<Index>(dy.size()), kGrain, [&](Index begin, Index end) {
    kernel.backward(dy.data() + begin, positive_.data() + begin / 8, end - begin);
  });
  return dy;
}

template <class T>
Tensor<T> ReLU<T>::do_infer(Tensor<T> x) const {
  const auto& kernel = kernels::table<kernels::Rectifier<T>>();
  parallel_ranges(static_cast<Index>(x.size()), kGrain,
                  [&](Index begin, Index end) { kernel.infer(x.data() + begin, end - begin); });
  return x;
}

template class ReLU<float>;
template class ReLU<double>;

}  // namespace strata
