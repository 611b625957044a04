#include "strata/framework/tensor.hpp"

#include "strata/framework/elementwise.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"

namespace strata {

template <class T>
Tensor<T> zeros(const Shape& shape) {
  auto result = empty<T>(shape);
  detail::clear_block(result.data(), result.size() * sizeof(T));
  return result;
}

template <class T>
Tensor<T> copy(const Tensor<T>& x) {
  auto y = empty<T>(x.shape());
  T* to = y.data();
  const T* from = x.data();
  const auto& kernel = kernels::table<kernels::Elementwise<T>>();
  parallel_ranges(static_cast<Index>(x.size()), Index{1} << 16,
                  [&](Index begin, Index end) { kernel.copy(to + begin, from + begin, end - begin); });
  return y;
}

template Tensor<float> zeros(const Shape&);
template Tensor<double> zeros(const Shape&);
template Tensor<float> copy(const Tensor<float>&);
template Tensor<double> copy(const Tensor<double>&);

}  // namespace strata
