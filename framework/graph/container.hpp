// Container: what Sequential and Graph have in common, which is to run what they hold by a plan.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"
#include "strata/framework/runtime/fork.hpp"

namespace STRATA_EXPORT strata {

template <class T>
struct FlatNetwork;
template <class T>
class TrainingPlan;

/// Base of the layers that hold layers. Training goes by a plan for the shapes of the input, in which the
/// layers of nested containers stand too and neighbors may be fused (layers/fusion); it is kept until shapes
/// or structure change. infer runs layer by layer and keeps nothing: it is right at any moment, and costs up
/// to twice what an Inference costs, which folds and lays out weights once.
template <class T>
class Container : public Layer<T> {
 public:
  std::uint64_t multiply_adds(const Shape& input) const override;

  /// The layers and joins within, for so many inputs.
  FlatNetwork<T> flat(std::size_t inputs = 1) const;
  /// Appends what this container runs for these values; returns the values of its outputs.
  virtual std::vector<std::size_t> append_to(FlatNetwork<T>& network,
                                             const std::vector<std::size_t>& inputs) const = 0;

 protected:
  // Defined in the library, as Parameter's. A copy makes its own plan.
  Container();
  Container(const Container& other);
  Container(Container&& other) noexcept;
  Container& operator=(const Container& other);
  Container& operator=(Container&& other) noexcept;
  ~Container() override;

  Tensor<T> do_forward(Tensor<T> x, Record& record) override;
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  void do_backward_parameters(Tensor<T> dy, Record& record) override;
  Tensor<T> do_infer(Tensor<T> x) const override;

  // The public calls of Layer, for several inputs and outputs, called `outputs`.
  std::vector<Tensor<T>> forward_several(std::vector<Tensor<T>> x, Record& record);
  std::vector<Tensor<T>> backward_several(std::vector<Tensor<T>> dy, Record& record, bool parameters_only,
                                          const std::vector<std::string>& outputs);
  std::vector<Tensor<T>> infer_several(std::vector<Tensor<T>> x) const;
  Record& own_record() { return this->record_; }

  /// `name` below this container's path.
  std::string path_of(const std::string& name) const;
  /// Throws GraphError if the layer is null, as check_tensors does if it was moved from; gives it its path.
  void take_in(const std::unique_ptr<Layer<T>>& layer, const std::string& name) const;
  /// Puts another in its place, which takes over its mode. Throws as take_in does.
  void exchange(std::unique_ptr<Layer<T>>& layer, std::unique_ptr<Layer<T>> by, const std::string& name);
  /// Throws GraphError unless it can name a `noun`, a layer or a node, and is none of `others`.
  void check_name(const std::string& name, const char* noun, const std::vector<std::string>& others) const;
  /// To be called after each change of what it holds.
  void structure_changed() { this->renew_identity(); }
  /// Gives what it holds now this container's path and mode.
  void settle_in() {
    this->set_path(this->path());
    this->train(this->training());
  }

 private:
  std::shared_ptr<const TrainingPlan<T>> plan_for(std::vector<Shape> inputs);
  std::vector<Tensor<T>> run_forward(std::vector<Tensor<T>> x, Record& record);
  std::vector<Tensor<T>> run_backward(std::vector<Tensor<T>> dy, Record& record, bool parameters_only);

  detail::Mutex mutex_;  // of plan_
  std::shared_ptr<const TrainingPlan<T>> plan_;
};

extern template class Container<float>;

}  // namespace strata
