#include "strata/layers/pooling/global_avg_pool_2d.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/pooling/sum_pool.hpp"
#include "strata/layers/reference/pooling.hpp"

namespace strata {

template <class T>
Shape GlobalAvgPool2D<T>::output_shape(const Shape& input) const {
  if (input.size() != 4 || input[2] == 0 || input[3] == 0)
    this->fail_shape("(N, C, H, W) with H >= 1 and W >= 1", input);
  if (!detail::checked_count(input)) this->fail_shape(detail::kCountable, input);
  return {input[0], input[1], 1, 1};
}

template <class T>
Tensor<T> GlobalAvgPool2D<T>::do_infer(Tensor<T> x) const {
  auto y = empty<T>(output_shape(x.shape()));
  const auto pixels = static_cast<Index>(x.shape()[2] * x.shape()[3]);
  if (uses_reference()) {
    reference::global_average_pool(static_cast<Index>(y.size()), pixels, x.data(), y.data());
    return y;
  }
  const auto& kernel = kernels::table<kernels::SumPool<T>>();
  parallel_ranges(static_cast<Index>(y.size()), std::max<Index>(1, (Index{1} << 17) / pixels),
                  [&](Index begin, Index end) {
                    kernel.mean(x.data() + begin * pixels, y.data() + begin, end - begin, pixels);
                  });
  return y;
}

template <class T>
Tensor<T> GlobalAvgPool2D<T>::do_backward(Tensor<T> dy, Record& record) {
  auto dx = empty<T>(record.input_shape());
  const auto pixels = static_cast<Index>(dx.shape()[2] * dx.shape()[3]);
  if (uses_reference()) {
    reference::global_average_pool_backward(static_cast<Index>(dy.size()), pixels, dy.data(), dx.data());
    return dx;
  }
  parallel_ranges(static_cast<Index>(dy.size()), std::max<Index>(1, (Index{1} << 16) / pixels),
                  [&](Index begin, Index end) {
                    for (Index plane = begin; plane < end; ++plane)
                      std::fill_n(dx.data() + plane * pixels, pixels,
                                  dy.data()[plane] / static_cast<T>(pixels));
                  });
  return dx;
}

template class GlobalAvgPool2D<float>;
template class GlobalAvgPool2D<double>;

}  // namespace strata
