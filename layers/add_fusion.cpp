#include "strata/layers/add_fusion.hpp"

#include <array>
#include <typeinfo>

#include "strata/framework/elementwise.hpp"
#include "strata/framework/instruction_set.hpp"
#include "strata/framework/parallel.hpp"
#include "strata/layers/kernels/rectifier.hpp"
#include "strata/layers/relu.hpp"

namespace strata {
namespace {

constexpr Index kGrain = Index{1} << 16;  // a multiple of 8, so that no two pieces share a byte of a mask
constexpr Index kMaskByte = 8;            // elements
constexpr Index kShortPlane = 16;         // for shorter ones a norm has better ways than plane by plane

// Not of a class that a program derives from LeakyReLU, which may do something else.
template <class T>
LeakyReLU<T>* relu_in(std::span<Layer<T>* const> next) {
  auto* relu = next.empty() ? nullptr : dynamic_cast<LeakyReLU<T>*>(next.front());
  return relu && (typeid(*relu) == typeid(ReLU<T>) || typeid(*relu) == typeid(LeakyReLU<T>)) ? relu : nullptr;
}

Index plane_size(const Shape& x) {
  Index size = 1;
  for (std::size_t axis = 2; axis < x.size(); ++axis) size *= static_cast<Index>(x[axis]);
  return size;
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
AddTraining<T>::AddTraining(std::span<Layer<T>* const> last, std::span<Layer<T>* const> next)
    : branches_(last.size()), relu_(relu_in(next)) {
  if (branches_ != 2) return;
  for (std::size_t k = 0; k < branches_ && !norm_; ++k) {
    norm_ = dynamic_cast<NormalizationLayer<T>*>(last[k]);
    if (norm_ && !norm_->runs_are_planes()) norm_ = nullptr;
    if (norm_) branch_ = k;
  }
}

template <class T>
void AddTraining<T>::add(const T* a, const T* b, T* y, Index begin, Index end) {
  if (relu_)
    kernels::table<kernels::Rectifier<T>>().forward_sum(a, b, y, relu_->positive_.data() + begin / kMaskByte,
                                                        static_cast<T>(relu_->negative_slope_), end - begin);
  else
    kernels::table<kernels::Elementwise<T>>().sum(a, b, y, end - begin);
}

template <class T>
Tensor<T> AddTraining<T>::add_normalized(Shared<T> x, Shared<T> shortcut) {
  const T* other = shortcut->data();
  Tensor<T> y = memory_of(shortcut);
  const Index plane = plane_size(y.shape());
  norm_->normalize(std::move(x).take(), {.pool = [&](Index first, Index planes, const T* values) {
                     const Index begin = first * plane;
                     add(values, other + begin, y.data() + begin, begin, begin + planes * plane);
                   }});
  return y;
}

template <class T>
Tensor<T> AddTraining<T>::forward(std::vector<Shared<T>> x) {
  const Shape shape = x[0]->shape();
  const Index count = element_count(shape);
  if (relu_)
    relu_->positive_ = empty<std::uint8_t>({static_cast<std::size_t>((count + kMaskByte - 1) / kMaskByte)});
  if (norm_) {
    Shared<T>& branch = x[*branch_];
    const Index plane = plane_size(shape);
    if (plane % kMaskByte == 0 && plane >= kShortPlane)
      return add_normalized(std::move(branch), std::move(x[1 - *branch_]));
    auto y = empty<T>(shape);
    norm_->normalize(std::move(branch).take(), {.y = y.data()});
    branch = std::move(y);
  }
  if (branches_ == 1) {
    Tensor<T> y = std::move(x[0]).take();
    return relu_ ? relu_->do_forward(std::move(y)) : y;
  }
  auto [a, b] = in_two(std::move(x));
  const T *of_a = a->data(), *of_b = b->data();
  Tensor<T> y = memory_of(a, b);
  parallel_ranges(count, kGrain, [&, of_a = of_a, of_b = of_b](Index begin, Index end) {
    add(of_a + begin, of_b + begin, y.data() + begin, begin, end);
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
  std::vector<Shared<T>> dx(branches_, shared);
  if (norm_) dx[*branch_] = norm_->pull_back({.dy = shared->data()});
  return dx;
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

template class AddTraining<float>;
template class AddTraining<double>;
template class AddInference<float>;
template class AddInference<double>;

}  // namespace strata
