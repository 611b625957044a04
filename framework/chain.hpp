// Chain: how containers run layers one after the other, fused where they can be.
#pragma once

#include "strata/framework/layer.hpp"

namespace strata {

/// Layers of which each takes the output of the one before it and no one else does. It does not own them.
template <class T>
class Chain {
 public:
  /// Layers that joins stand for where layers are fused: how many of the first ones, and of the last.
  struct Taken {
    std::size_t first_in_training = 0;
    std::size_t last_in_training = 0;
    std::size_t first_in_inference = 0;
  };

  Chain() = default;
  /// `like`: a chain of layers that these were copied from, whose backward this one may be asked for.
  explicit Chain(std::vector<Layer<T>*> layers, const Chain* like = nullptr, Taken taken = {});

  /// Whether layers are fused now: fusion is on and FiniteChecks need not see each of them.
  static bool may_fuse();

  // Where others hold x or dy, a copy is made only if the first layer needs one (the last in backward).
  Shared<T> forward(Shared<T> x, bool fuse = may_fuse());
  /// By the way that forward went.
  Shared<T> backward(Shared<T> dy);
  void backward_parameters(Shared<T> dy);
  Shared<T> infer(Shared<T> x, bool fuse = may_fuse()) const;

  /// Whether joins do all the work in training.
  bool is_taken() const { return training_.empty() && !layers_.empty(); }

 private:
  Shared<T> backward_from(std::size_t first, Shared<T> dy);

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
