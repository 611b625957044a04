// The loops of the update rules, over one contiguous range of a parameter: w its values, g its gradient.
#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

template <class T>
struct Updates {
  struct Momentum {
    T learning_rate, momentum;
    T fresh;  ///< weight of the new gradient: 1 - dampening, and 1 in the first step
    T weight_decay;
    bool nesterov;
  };
  struct RMSProp {
    T learning_rate, alpha, fresh, eps, momentum, weight_decay;  ///< fresh = 1 - alpha
  };
  struct Adam {
    T step_size;  ///< learning rate / (1 - beta1^t)
    T beta1, fresh1, beta2, fresh2, eps, weight_decay;
    T correction2;  ///< sqrt(1 - beta2^t)
    T keep;         ///< 1 - learning rate * decoupled weight decay
  };

  void (*sgd)(T* w, const T* g, Index count, T learning_rate, T weight_decay);
  void (*momentum)(T* w, const T* g, T* buffer, Index count, const Momentum& with);
  void (*adagrad)(T* w, const T* g, T* sum, Index count, T learning_rate, T eps, T weight_decay);
  /// `average` is null unless centered, `buffer` is null without momentum.
  void (*rms_prop)(T* w, const T* g, T* square, T* average, T* buffer, Index count, const RMSProp& with);
  void (*adam)(T* w, const T* g, T* average, T* square, Index count, const Adam& with);

  double (*sum_of_squares)(const T* x, Index count);
  void (*scale)(T* x, Index count, T factor);
};

}  // namespace strata::kernels
