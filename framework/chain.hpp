// Chain: how containers run layers one after the other, fused where they can be.
#pragma once

#include "strata/framework/layer.hpp"

namespace strata {

/// Layers of which each takes the output of the one before it and no one else does. It does not own them.
template <class T>
class Chain {
 public:
  /// How many of the first layers the join before them stands for, where layers are fused.
  struct Taken {
    std::size_t in_training = 0;
    std::size_t in_inference = 0;
  };
  /// How x and dx and how y and dy lie in memory.
  struct Layouts {
    ImageLayout x = ImageLayout::planes;
    ImageLayout y = ImageLayout::planes;
  };

  Chain() = default;
  /// `like`: a chain of layers that these were copied from, whose backward this one may be asked for.
  explicit Chain(std::vector<Layer<T>*> layers, const Chain* like = nullptr, Taken taken = {});

  /// Whether layers are fused now: fusion is on and FiniteChecks need not see each of them.
  static bool may_fuse();

  /// Of the fused layers, for an x of this shape: whether x and dx may be of pixels; whether y and dy may.
  bool takes_pixels(const Shape& x) const;
  bool gives_pixels(const Shape& x) const;

  // Where others hold x or dy, a copy is made only if the first layer needs one (the last in backward).
  /// `layouts`: planes unless layers are fused.
  Shared<T> forward(Shared<T> x, bool fuse = may_fuse(), Layouts layouts = {});
  /// By the way that forward went.
  Shared<T> backward(Shared<T> dy);
  void backward_parameters(Shared<T> dy);
  Shared<T> infer(Shared<T> x, bool fuse = may_fuse()) const;

  /// Whether joins do all the work in training.
  bool is_taken() const { return training_.empty() && !layers_.empty(); }

 private:
  void set_layouts();
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
  // Of the last forward.
  bool fused_ = false;
  Layouts layouts_;
};

extern template class Chain<float>;

}  // namespace strata
