// Steps: what a plan runs as one, a layer or a join or several that are fused.
#pragma once

#include <any>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "strata/framework/graph/flat_network.hpp"
#include "strata/framework/graph/image_layout.hpp"
#include "strata/framework/runtime/fork.hpp"
#include "strata/framework/shared.hpp"

namespace strata {

/// Nodes in a row, each of which takes the value of the one before, and no one else does. A join may take
/// others too.
template <class T>
using Stretch = std::span<const Node<T>* const>;

class Step {
 public:
  virtual ~Step() = default;

  /// How many nodes of the stretch that it was made from it stands for. It takes what the first of them
  /// takes, then what the joins among the others take besides, and makes what the last makes.
  virtual std::size_t size() const { return 1; }

  /// What may be of pixels (ImageLayout) instead of planes; so may the gradients, then.
  struct Pixels {
    bool x = false;  ///< the first input
    bool y = false;  ///< the output
    /// The inputs from this one on lie as the output does.
    std::size_t first_as_y = std::numeric_limits<std::size_t>::max();
  };
  virtual Pixels pixels() const { return {}; }
  /// Settles how the first input and the output lie, once, before the step runs.
  virtual void settle(ImageLayouts /*layouts*/) {}
};

/// Runs in training; several threads may, each with a record.
template <class T>
class TrainingStep : public Step {
 public:
  virtual Tensor<T> forward(std::vector<Shared<T>> x, Record& record) const = 0;
  /// `dy`: one or two tensors, whose sum is dL/dy. Returns dL/dx for each x, or nothing unless dx is wanted.
  virtual std::vector<Shared<T>> backward(std::vector<Shared<T>> dy, Record& record, bool wants_dx) const = 0;
};

/// Runs in Inference; several threads may.
template <class T>
class InferenceStep : public Step {
 public:
  virtual Tensor<T> infer(std::vector<Shared<T>> x) const = 0;
};

/// What steps of an Inference have in common whatever the shape of the input, such as folded weights: one
/// object for each node with which a stretch begins.
class Prepared {
 public:
  /// The object of this node, made by the first that asks. `make` must not run loops in parallel: others
  /// wait.
  template <class Object, class Make>
  std::shared_ptr<Object> get(std::size_t node, const Make& make) {
    const std::lock_guard lock(mutex_);
    if (node >= objects_.size()) objects_.resize(node + 1);
    if (!objects_[node]) objects_[node] = std::shared_ptr<Object>(make());
    return std::static_pointer_cast<Object>(objects_[node]);
  }

 private:
  detail::Mutex mutex_;
  std::vector<std::shared_ptr<void>> objects_;
};

/// The list of what fuses with what, which layers/fusion/rules.cpp defines: what stands for the first nodes
/// of a stretch, or null if these run one by one.
template <class T>
std::unique_ptr<TrainingStep<T>> fuse_training(Stretch<T> nodes);
/// `first`: the number of the first node, by which it finds what it has prepared.
template <class T>
std::unique_ptr<InferenceStep<T>> fuse_inference(Stretch<T> nodes, std::size_t first, Prepared& prepared);

/// The sum of one or two gradients.
template <class T>
Shared<T> total(std::vector<Shared<T>> parts) {
  return parts.size() == 1 ? std::move(parts[0]) : added(std::move(parts[0]), std::move(parts[1]));
}

}  // namespace strata
