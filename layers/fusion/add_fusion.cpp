#include "strata/layers/fusion/add_fusion.hpp"

#include <array>
#include <typeinfo>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/rectifier.hpp"
#include "strata/layers/relu.hpp"

namespace strata {
namespace {

constexpr Index kGrain = Index{1} << 16;  // a multiple of 8, so that no two pieces share a byte of a mask
constexpr Index kMaskByte = 8;            // elements

// Not of a class that a program derives from LeakyReLU, which may do something else.
template <class T>
LeakyReLU<T>* relu_in(std::span<Layer<T>* const> next) {
  auto* relu = next.empty() ? nullptr : dynamic_cast<LeakyReLU<T>*>(next.front());
  return relu && (typeid(*relu) == typeid(ReLU<T>) || typeid(*relu) == typeid(LeakyReLU<T>)) ? relu : nullptr;
}

// All terms but the last in one, in order.
template <class T>
std::array<Shared<T>, 2> in_two(std::vector<Shared<T>> terms) {
  Shared<T> first = std::move(terms.front());
  for (std::size_t i = 1; i + 1 < terms.size(); ++i) first = added(std::move(first), std::move(terms[i]));
  return {std::move(first), std::move(terms.back())};
}

}  // namespace

template <class T>
AddTraining<T>::AddTraining(std::size_t inputs, std::span<Layer<T>* const> next)
    : inputs_(inputs), relu_(relu_in(next)) {}

template <class T>
Tensor<T> AddTraining<T>::forward(std::vector<Shared<T>> x) {
  if (x.size() == 1) {
    Tensor<T> y = std::move(x[0]).take();
    return relu_ ? relu_->do_forward(std::move(y)) : y;
  }
  auto [a, b] = in_two(std::move(x));
  if (!relu_) return added(std::move(a), std::move(b)).take();
  const T *of_a = a->data(), *of_b = b->data();
  Tensor<T> y = memory_of(a, b);
  const auto count = static_cast<Index>(y.size());
  relu_->positive_ = empty<std::uint8_t>({static_cast<std::size_t>((count + kMaskByte - 1) / kMaskByte)});
  const auto& kernel = kernels::table<kernels::Rectifier<T>>();
  parallel_ranges(count, kGrain, [&, of_a = of_a, of_b = of_b](Index begin, Index end) {
    kernel.forward_sum(of_a + begin, of_b + begin, y.data() + begin,
                       relu_->positive_.data() + begin / kMaskByte, static_cast<T>(relu_->negative_slope_),
                       end - begin);
  });
  return y;
}

template <class T>
std::vector<Shared<T>> AddTraining<T>::backward(std::vector<Shared<T>> dy) {
  Shared<T> shared;
  if (!relu_) {
    shared = dy.size() == 1 ? std::move(dy[0]) : added(std::move(dy[0]), std::move(dy[1]));
  } else if (dy.size() == 1) {
    shared = relu_->do_backward(std::move(dy[0]).take());
  } else {
    const T *a = dy[0]->data(), *b = dy[1]->data();
    Tensor<T> dx = memory_of(dy[0], dy[1]);
    const auto& kernel = kernels::table<kernels::Rectifier<T>>();
    parallel_ranges(static_cast<Index>(dx.size()), kGrain, [&](Index begin, Index end) {
      kernel.backward_sum(a + begin, b + begin, dx.data() + begin,
                          relu_->positive_.data() + begin / kMaskByte, static_cast<T>(relu_->negative_slope_),
                          end - begin);
    });
    relu_->positive_ = Tensor<std::uint8_t>();
    shared = std::move(dx);
  }
  return std::vector<Shared<T>>(inputs_, shared);
}

template <class T>
AddInference<T>::AddInference(std::span<Layer<T>* const> next) : relu_(relu_in(next)) {}

template <class T>
Tensor<T> AddInference<T>::infer(std::vector<Shared<T>> x) const {
  if (x.size() == 1) {
    Tensor<T> y = std::move(x[0]).take();
    return relu_ ? relu_->do_infer(std::move(y)) : y;
  }
  auto [a, b] = in_two(std::move(x));
  if (!relu_) return added(std::move(a), std::move(b)).take();
  const T *of_a = a->data(), *of_b = b->data();
  Tensor<T> y = memory_of(a, b);
  const auto& kernel = kernels::table<kernels::Rectifier<T>>();
  parallel_ranges(static_cast<Index>(y.size()), kGrain,
                  [&, of_a = of_a, of_b = of_b](Index begin, Index end) {
                    kernel.infer_sum(of_a + begin, of_b + begin, y.data() + begin,
                                     static_cast<T>(relu_->negative_slope_), end - begin);
                  });
  return y;
}

template <class T>
std::optional<double> AddInference<T>::negative_slope() const {
  if (!relu_) return std::nullopt;
  return relu_->negative_slope_;
}

template class AddTraining<float>;
template class AddTraining<double>;
template class AddInference<float>;
template class AddInference<double>;

}  // namespace strata
