// Chain: how containers run layers one after the other, fused where they can be.
#pragma once

#include "strata/framework/layer.hpp"

namespace strata {

/// Layers of which each takes the output of the one before it and no one else does. It does not own them.
/// Layers are fused unless fusion is off or FiniteChecks has to see each of them.
template <class T>
class Chain {
 public:
  Chain() = default;
  /// `like`: a chain of layers that these were copied from, whose backward this one may be asked for.
  explicit Chain(std::vector<Layer<T>*> layers, const Chain* like = nullptr);

  Tensor<T> forward(Tensor<T> x);
  /// By the way that forward went.
  Tensor<T> backward(Tensor<T> dy);
  void backward_parameters(Tensor<T> dy);
  Tensor<T> infer(Tensor<T> x) const;
  /// The same for an x that others still need: a copy is made only if the first layer needs one.
  Tensor<T> infer_shared(const Tensor<T>& x) const;

 private:
  Tensor<T> backward_from(std::size_t first, Tensor<T> dy);
  Tensor<T> infer_from(std::size_t first, Tensor<T> x) const;

  std::vector<Layer<T>*> layers_;
  // What to run, in order; a plan of single layers has one step a layer.
  struct TrainingStep {
    Layer<T>* layer;
    std::unique_ptr<TrainingFusion<T>> fused;
  };
  struct InferenceStep {
    const Layer<T>* layer;
    std::unique_ptr<InferenceFusion<T>> fused;
  };
  std::vector<TrainingStep> training_;
  std::vector<InferenceStep> inference_;
  bool fused_ = false;
};

extern template class Chain<float>;

}  // namespace strata
