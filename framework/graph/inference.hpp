// Inference: a network as it is at one moment, made ready to be evaluated fast.
#pragma once

#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/held.hpp"
#include "strata/framework/layer.hpp"

namespace STRATA_EXPORT strata {

/// A copy of a network in evaluation mode that nothing changes any more:
///
///   const Inference<float> model{net};
///   Tensor<float> scores = model(x);
///
/// Weights are folded (a norm with running statistics into the convolution before it) and laid out as the
/// kernels read them, once; what depends on the shape of x is settled at the first x of the shape and kept
/// for the 16 shapes used last. A large batch goes through in parts that fit the cache. The result is infer's
/// up to rounding; fusion() and uses_reference() count at each call. Any number of threads may call it at
/// once.
///
/// It costs the time of a first call, some ten milliseconds for a small network, and the memory of a second
/// network: one makes it after training, not for every x.
template <class T>
class Inference {
 public:
  /// Later changes of `net` do not matter. Throws as Layer::check_tensors does.
  explicit Inference(const Layer<T>& net);
  Inference(Inference&&) noexcept;
  Inference& operator=(Inference&&) noexcept;
  ~Inference();

  /// The output. Throws ShapeError.
  Tensor<T> operator()(Tensor<T> x) const;
  /// Of a Graph of several inputs or outputs, in the order of their declaration.
  std::vector<Tensor<T>> operator()(std::vector<Tensor<T>> x) const;

  /// The network it was made of, as it was.
  const Layer<T>& network() const;

 private:
  struct State;
  detail::Held<State> state_;
};

extern template class Inference<float>;

}  // namespace strata
