// Fusion: layers in a row that run as one, in fewer passes over memory.
#pragma once

#include <vector>

#include "strata/framework/graph/image_layout.hpp"
#include "strata/framework/shared.hpp"

namespace strata {

/// Whether containers fuse layers: true unless STRATA_FUSION is 0. Fused layers compute what they would
/// compute one by one, up to rounding.
bool fusion();
/// Changes it for the whole process, from the next forward on.
void set_fusion(bool on);

/// Stands for the layers of a chain from one on.
class LayerFusion {
 public:
  virtual ~LayerFusion() = default;
  /// How many layers it stands for.
  virtual Index size() const = 0;
  /// For an x of this shape: whether x may be of pixels; whether y may. So may their gradients, then.
  virtual bool takes_pixels(const Shape& /*x*/) const { return false; }
  virtual bool gives_pixels(const Shape& /*x*/) const { return false; }
};

/// All that the layers remember stays with them: parameters, running averages and what backward needs, so
/// that a copy of a network has it too. Made by Layer::fuse_training.
template <class T>
class TrainingFusion : public LayerFusion {
 public:
  /// Settles how x and y and their gradients lie, for the calls that follow; planes unless it is called.
  void set_layouts(ImageLayouts layouts) { layouts_ = layouts; }

  virtual Tensor<T> forward(Tensor<T> x) = 0;
  virtual Tensor<T> backward(Tensor<T> dy) = 0;
  /// The same for an x or dy that others may still need.
  virtual Tensor<T> forward_shared(Shared<T> x) { return forward(std::move(x).take()); }
  virtual Tensor<T> backward_shared(Shared<T> dy) { return backward(std::move(dy).take()); }
  /// backward without dL/d(input).
  virtual void backward_parameters(Shared<T> dy) { backward_shared(std::move(dy)); }

 protected:
  ImageLayouts layouts() const { return layouts_; }

 private:
  ImageLayouts layouts_;
};

/// Stands for a join and for layers of the chain behind it.
class JoinFusion {
 public:
  virtual ~JoinFusion() = default;
  /// How many of the layers behind it stands for.
  virtual Index size() const = 0;
  /// Whether every x, y and their gradients may be of pixels, all together.
  virtual bool takes_pixels() const { return false; }
};

/// What the layers remember stays with them. Made by Join::fuse_training.
template <class T>
class JoinTraining : public JoinFusion {
 public:
  virtual Tensor<T> forward(std::vector<Shared<T>> x) = 0;
  /// `dy`: the gradients of one consumer or of two, to be added. Returns dL/dx for each x.
  virtual std::vector<Shared<T>> backward(std::vector<Shared<T>> dy) = 0;
};

/// For infer. Made by Join::fuse_inference.
template <class T>
class JoinInference : public JoinFusion {
 public:
  virtual Tensor<T> infer(std::vector<Shared<T>> x) const = 0;
};

/// For infer, which many threads may call at once. Made by Layer::fuse_inference.
template <class T>
class InferenceFusion : public LayerFusion {
 public:
  /// Asked of the last of a chain: whether it does the work of the join of two behind it from now on.
  virtual bool take_join(const JoinInference<T>& /*join*/) { return false; }
  /// `other`: the other input of the join that was taken, which lies as y does; else nothing.
  virtual Tensor<T> infer(Shared<T> x, Shared<T> other, ImageLayouts layouts) const = 0;
};

}  // namespace strata
