// Chain: how containers run layers one after the other, fused where they can be.
#pragma once

#include "strata/framework/layer.hpp"

namespace strata {

/// What fused layers are to do.
enum class Pass { training, inference };

/// Layers of which each takes the output of the one before it and no one else does. It does not own them.
template <class T>
class Chain {
 public:
  /// How many of the first layers the join before them stands for, where layers are fused.
  struct Taken {
    std::size_t in_training = 0;
    std::size_t in_inference = 0;
  };

  Chain() = default;
  /// `like`: a chain of layers that these were copied from, whose backward this one may be asked for.
  explicit Chain(std::vector<Layer<T>*> layers, const Chain* like = nullptr, Taken taken = {});

  /// Whether layers are fused now: fusion is on and FiniteChecks need not see each of them.
  static bool may_fuse();

  /// Of the fused layers, for an x of this shape: whether x may be of pixels; whether y may. So may their
  /// gradients, then.
  bool takes_pixels(Pass pass, const Shape& x) const;
  bool gives_pixels(Pass pass, const Shape& x) const;

  // Where others hold x or dy, a copy is made only if the first layer needs one (the last in backward).
  /// `layouts`: planes unless layers are fused.
  Shared<T> forward(Shared<T> x, bool fuse = may_fuse(), ImageLayouts layouts = {});
  /// By the way that forward went.
  Shared<T> backward(Shared<T> dy);
  void backward_parameters(Shared<T> dy);
  /// `other`: the other input of a join that was taken, as of InferenceFusion.
  Shared<T> infer(Shared<T> x, bool fuse = may_fuse(), ImageLayouts layouts = {}, Shared<T> other = {}) const;
  /// Whether the last of the fused layers does the work of the join behind them from now on.
  bool take_join(const JoinInference<T>& join);

  /// Whether joins do all the work.
  bool is_taken(Pass pass) const {
    return !layers_.empty() && (pass == Pass::training ? training_.empty() : inference_.empty());
  }

 private:
  // What to run where layers are fused, in order: layers_[first], or what stands for it and some behind it.
  template <class Fusion>
  struct Step {
    std::size_t first;
    std::unique_ptr<Fusion> fused;
  };
  // `begin_fusion(layers)` asks the first of them.
  template <class Fusion, class BeginFusion>
  std::vector<Step<Fusion>> plan(std::size_t taken, const BeginFusion& begin_fusion) const;
  template <class Fusion>
  bool ends_in_pixels(const std::vector<Step<Fusion>>& steps, const Shape& x) const;
  // Of the layers [first, last).
  Shape output_shape(std::size_t first, std::size_t last, Shape x) const;
  ImageLayout layout_behind(std::size_t step, const Shape& x, ImageLayout y) const;
  void set_layouts();
  Shared<T> backward_from(std::size_t first, Shared<T> dy);

  std::vector<Layer<T>*> layers_;
  std::vector<Step<TrainingFusion<T>>> training_;
  std::vector<Step<InferenceFusion<T>>> inference_;
  // Of the last forward.
  bool fused_ = false;
  ImageLayouts layouts_;
};

extern template class Chain<float>;

}  // namespace strata
