// Plans: how a network runs for inputs of some shapes, settled once.
#pragma once

#include "strata/framework/graph/flat_network.hpp"
#include "strata/framework/graph/step.hpp"
#include "strata/framework/runtime/instruction_set.hpp"

namespace strata {

namespace detail {

template <class T>
std::vector<Tensor<T>> one(Tensor<T> tensor) {
  std::vector<Tensor<T>> list;  // an initializer list would copy
  list.push_back(std::move(tensor));
  return list;
}

template <class T>
std::vector<Shape> shapes_of(const std::vector<Tensor<T>>& tensors) {
  std::vector<Shape> shapes;
  for (const Tensor<T>& tensor : tensors) shapes.push_back(tensor.shape());
  return shapes;
}

}  // namespace detail

/// What a plan depends on besides the network: a plan serves as long as this is the same.
struct PlanKey {
  std::vector<Shape> inputs;
  bool fuse;
  InstructionSet instruction_set;

  /// As things are now: layers are fused if fusion() says so, unless FiniteChecks have to see each of them.
  static PlanKey now(std::vector<Shape> inputs);
  bool operator==(const PlanKey&) const = default;
};

/// The steps of a network in order. One pass over it decides which nodes run as one and how every value lies
/// in memory; running reads what was decided.
template <class T, class StepType>
class Plan {
 public:
  const PlanKey& key() const { return key_; }
  const FlatNetwork<T>& network() const { return network_; }
  const Shape& output_shape(std::size_t k) const { return shapes_[network_.outputs[k]]; }
  std::size_t step_count() const { return steps_.size(); }

 protected:
  struct PlannedStep {
    std::unique_ptr<StepType> step;
    std::vector<std::size_t> nodes;  // that it stands for
    std::vector<ValueIndex> inputs;
    ValueIndex output;
  };

  /// `fuse(stretch, number of its first node)`: what stands for its first nodes, or null; `single(node)`:
  /// what runs one node. Throws as output_shape does.
  template <class Fuse, class Single>
  Plan(FlatNetwork<T> network, PlanKey key, const Fuse& fuse, const Single& single);

  /// Runs all steps by run(step, its inputs, number of the step).
  template <class Run>
  std::vector<Tensor<T>> run_steps(std::vector<Tensor<T>> x, const Run& run) const;

  PlanKey key_;
  FlatNetwork<T> network_;
  std::vector<Shape> shapes_;  // of every value
  std::vector<PlannedStep> steps_;

 private:
  std::vector<const Node<T>*> stretch_from(std::size_t first, const std::vector<std::size_t>& consumer,
                                           const std::vector<bool>& taken) const;
  void choose_layouts();

  std::vector<std::size_t> uses_;  // of every value
};

template <class T>
class TrainingPlan final : public Plan<T, TrainingStep<T>> {
 public:
  TrainingPlan(FlatNetwork<T> network, PlanKey key);

  /// `records`: one a step.
  std::vector<Tensor<T>> forward(std::vector<Tensor<T>> x, std::vector<Record>& records) const;
  /// Returns dL/dx for each x, or nothing if the gradients of parameters are all that is wanted. Where a
  /// value goes to several steps, their gradients are added, those of later steps first; where a layer stands
  /// at several places, so are its parameters' gradients.
  std::vector<Tensor<T>> backward(std::vector<Tensor<T>> dy, std::vector<Record>& records,
                                  bool parameters_only) const;

 private:
  std::vector<std::vector<Layer<T>*>> repeated_;  // by step: its layers that stand at other places too
};

template <class T>
class InferencePlan final : public Plan<T, InferenceStep<T>> {
 public:
  InferencePlan(FlatNetwork<T> network, PlanKey key, Prepared& prepared);

  std::vector<Tensor<T>> infer(std::vector<Tensor<T>> x) const;
};

extern template class TrainingPlan<float>;
extern template class InferencePlan<float>;

}  // namespace strata
