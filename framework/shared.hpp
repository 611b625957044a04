// Shared: a tensor that several hold.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "strata/framework/export.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

/// A tensor with any number of holders, who only read it; the last of them may have its memory.
template <class T>
class Shared {
 public:
  /// Holds nothing.
  Shared() = default;
  Shared(Tensor<T> x) : tensor_(std::make_shared<Tensor<T>>(std::move(x))) {}

  explicit operator bool() const { return tensor_ != nullptr; }
  const Tensor<T>& operator*() const { return *tensor_; }
  const Tensor<T>* operator->() const { return tensor_.get(); }

  /// Whether no one else holds it.
  bool is_last() const {
    if (tensor_.use_count() != 1) return false;
    std::atomic_thread_fence(std::memory_order_acquire);  // what other threads read, they have read
    return true;
  }
  /// The tensor, or a copy if others hold it.
  Tensor<T> take() && {
    const Shared mine = std::move(*this);
    return mine.is_last() ? std::move(*mine.tensor_) : copy(*mine.tensor_);
  }

 private:
  std::shared_ptr<Tensor<T>> tensor_;
};

/// A tensor of x's shape to write to. It has the memory of x, where the values stay until then, unless others
/// hold it.
template <class T>
Tensor<T> memory_of(Shared<T>& x) {
  return x.is_last() ? std::move(x).take() : empty<T>(x->shape());
}
/// The same in the memory of either.
template <class T>
Tensor<T> memory_of(Shared<T>& a, Shared<T>& b) {
  return memory_of(a.is_last() ? a : b);
}

}  // namespace strata
