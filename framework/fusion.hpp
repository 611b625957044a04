// Fusion: layers in a row that run as one, in fewer passes over memory.
#pragma once

#include "strata/framework/tensor.hpp"

namespace strata {

/// Whether containers fuse layers: true unless STRATA_FUSION is 0. Fused layers compute what they would
/// compute one by one, up to rounding.
bool fusion();
/// Changes it for the whole process, from the next forward on.
void set_fusion(bool on);

/// Stands for the layers of a chain from one on. All that they remember stays with them: parameters, running
/// averages and what backward needs, so that a copy of a network has it too. Made by Layer::fuse_training.
template <class T>
class TrainingFusion {
 public:
  virtual ~TrainingFusion() = default;
  /// How many layers it stands for.
  virtual Index size() const = 0;
  virtual Tensor<T> forward(Tensor<T> x) = 0;
  virtual Tensor<T> backward(Tensor<T> dy) = 0;
  /// The same where no one needs dx.
  virtual void backward_parameters(Tensor<T> dy) { backward(std::move(dy)); }
};

/// The same for infer, which many threads may call at once. Made by Layer::fuse_inference.
template <class T>
class InferenceFusion {
 public:
  virtual ~InferenceFusion() = default;
  virtual Index size() const = 0;
  virtual Tensor<T> infer(Tensor<T> x) const = 0;
  /// The same for an x that others still need.
  virtual Tensor<T> infer_shared(const Tensor<T>& x) const { return infer(copy(x)); }
};

}  // namespace strata
