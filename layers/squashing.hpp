// What Sigmoid and Tanh have in common: the derivative follows from y.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"

namespace STRATA_EXPORT strata {

/// Base of the layers y = f(x), element by element, with f'(x) = a + y (b - y).
template <class T>
class Squashing : public Layer<T> {
 public:
  bool is_per_sample() const override { return true; }

 protected:
  enum class Function { sigmoid, tanh };
  explicit Squashing(Function function) : function_(function) {}

  Tensor<T> do_forward(Tensor<T> x, Record& record) override;
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  Tensor<T> do_infer(Tensor<T> x) const override;

 private:
  /// In place; `copy`, unless null, gets the same.
  void apply(Tensor<T>& x, T* copy) const;

  Function function_;
};

extern template class Squashing<float>;

}  // namespace strata
