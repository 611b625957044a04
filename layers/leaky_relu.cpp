#include "strata/layers/leaky_relu.hpp"

#include <cmath>
#include <sstream>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/rectifier.hpp"
#include "strata/layers/reference/activations.hpp"

namespace strata {
namespace {

constexpr Index kGrain = Index{1} << 16;  // a multiple of 8, so that no two pieces share a byte of the mask

}  // namespace

template <class T>
LeakyReLU<T>::LeakyReLU(double negative_slope) : negative_slope_(negative_slope) {
  if (!std::isfinite(negative_slope))
    throw ArgumentError("LeakyReLU: expected a finite slope, got " + std::to_string(negative_slope));
}

template <class T>
std::string LeakyReLU<T>::options() const {
  std::ostringstream text;
  text << "slope " << negative_slope_;
  return text.str();
}

template <class T>
Tensor<T> LeakyReLU<T>::do_forward(Tensor<T> x, Record& record) {
  const auto count = static_cast<Index>(x.size());
  // One bit an element.
  auto& positive = record.keep(empty<std::uint8_t>({static_cast<std::size_t>((count + 7) / 8)}));
  if (uses_reference()) {
    reference::leaky_relu(count, static_cast<T>(negative_slope_), x.data(), x.data(), positive.data());
    return x;
  }
  const auto& kernel = kernels::table<kernels::Rectifier<T>>();
  parallel_ranges(count, kGrain, [&](Index begin, Index end) {
    kernel.forward(x.data() + begin, positive.data() + begin / 8, static_cast<T>(negative_slope_),
                   end - begin);
  });
  return x;
}

template <class T>
Tensor<T> LeakyReLU<T>::do_backward(Tensor<T> dy, Record& record) {
  const auto positive = record.take<Tensor<std::uint8_t>>();
  const auto count = static_cast<Index>(dy.size());
  if (uses_reference()) {
    reference::leaky_relu_backward(count, static_cast<T>(negative_slope_), positive.data(), dy.data(),
                                   dy.data());
    return dy;
  }
  const auto& kernel = kernels::table<kernels::Rectifier<T>>();
  parallel_ranges(count, kGrain, [&](Index begin, Index end) {
    kernel.backward(dy.data() + begin, positive.data() + begin / 8, static_cast<T>(negative_slope_),
                    end - begin);
  });
  return dy;
}

template <class T>
Tensor<T> LeakyReLU<T>::do_infer(Tensor<T> x) const {
  const auto count = static_cast<Index>(x.size());
  if (uses_reference()) {
    reference::leaky_relu<T>(count, static_cast<T>(negative_slope_), x.data(), x.data(), nullptr);
    return x;
  }
  const auto& kernel = kernels::table<kernels::Rectifier<T>>();
  parallel_ranges(count, kGrain, [&](Index begin, Index end) {
    kernel.infer(x.data() + begin, static_cast<T>(negative_slope_), end - begin);
  });
  return x;
}

template class LeakyReLU<float>;
template class LeakyReLU<double>;

}  // namespace strata
