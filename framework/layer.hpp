// Layer: one input, one output, an explicit forward and backward.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "strata/framework/error.hpp"
#include "strata/framework/export.hpp"
#include "strata/framework/identity.hpp"
#include "strata/framework/parameter.hpp"
#include "strata/framework/random.hpp"
#include "strata/framework/record.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

/// A function with parameters: it holds options, parameters and buffers, and nothing that belongs to a call.
/// The public calls check shapes and the order of calls; a layer implements the do_… functions behind them
/// and may rely on those checks. Layers are values: a copy has its own parameters and buffers.
///
/// To write a layer, override type, clone, do_forward, do_backward and do_infer; output_shape if it changes
/// the shape; is_per_sample if no sample needs another in infer; own_parameters, own_buffers and
/// reset_parameters if it has any. examples/custom_layer.cpp is one.
template <class T>
class Layer {
 public:
  virtual ~Layer();

  /// Computes the output and leaves in the record what backward needs; what an earlier forward left there is
  /// let go. In training mode batch statistics, running averages and dropout are at work; in evaluation mode
  /// they are frozen. Throws ShapeError.
  Tensor<T> forward(Tensor<T> x, Record& record);

  /// Given dL/d(output), returns dL/d(input) and overwrites the gradient of every parameter. Each forward
  /// allows one backward, until which parameters keep their values. Throws StateError if the record is not of
  /// a forward of this layer as it is now, ShapeError.
  Tensor<T> backward(Tensor<T> dy, Record& record);

  /// backward without dL/d(input): what the first layer of a network needs.
  void backward_parameters(Tensor<T> dy, Record& record);

  // The same with a record that the layer has for these calls, as in a notebook. A copy of the layer starts
  // without.
  Tensor<T> forward(Tensor<T> x) { return forward(std::move(x), record_); }
  Tensor<T> backward(Tensor<T> dy) { return backward(std::move(dy), record_); }
  void backward_parameters(Tensor<T> dy) { backward_parameters(std::move(dy), record_); }

  /// The output in evaluation mode. Changes nothing, so that many threads may call it at once.
  Tensor<T> infer(Tensor<T> x) const;

  /// The shape that an input of this shape leads to, the batch included. Throws ShapeError if it does not
  /// fit.
  virtual Shape output_shape(const Shape& input) const { return input; }

  /// Multiply-adds of one forward pass.
  virtual std::uint64_t multiply_adds(const Shape& /*input*/) const { return 0; }

  /// How an input of this shape is computed, where there is a choice ("winograd 4x4"); else empty.
  virtual std::string algorithm(const Shape& /*input*/) const { return ""; }

  /// Whether infer computes each sample, an index of the first axis, from that sample alone. Containers of
  /// such layers work through a large batch in parts.
  virtual bool is_per_sample() const { return false; }

  virtual std::unique_ptr<Layer> clone() const = 0;

  /// The name of the class: "Conv2D".
  virtual std::string type() const = 0;
  /// Its configuration in a few words: "3 -> 32, kernel 3x3, padding 1".
  virtual std::string options() const { return ""; }

  /// A part of a container; its name is relative to the container.
  struct Child {
    std::string name;
    Layer* layer;
  };
  virtual std::vector<Child> children() { return {}; }

  /// What a container runs for an input of some shape, in order.
  struct Step {
    std::string name;
    std::string type;
    const Layer* layer;  ///< null for a join
    Shape input;         ///< of a join: of its first input
    Shape output;
  };
  /// Empty unless this is a container. Throws as output_shape does.
  virtual std::vector<Step> steps(const Shape& /*input*/) const { return {}; }

  /// Where the layer stands in its network: "features.3"; empty for the outermost.
  const std::string& path() const;
  /// Called by containers; reaches down to all children.
  virtual void set_path(std::string path);
  /// For messages: "Conv2D 'features.3'".
  std::string label() const;
  /// The layer at a dotted path below this one. Throws GraphError if there is none.
  Layer& find(std::string_view relative_path);

  /// Training (the default) or evaluation mode, of this layer and all below it.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  /// All parameters from here down, in a fixed order, with their dotted names ("features.3.weight").
  std::vector<std::pair<std::string, Parameter<T>*>> named_parameters();
  std::vector<Parameter<T>*> parameters();
  std::vector<Buffer<T>> named_buffers();
  /// What every call does first: throws StateError if the value of the layer, or of one below it, has been
  /// moved to another object, ShapeError if a tensor of theirs has lost its shape.
  void check_tensors() const;
  /// A number that becomes another when a value is assigned to the layer or the structure of a container
  /// changes; 0 once its value has been moved to another object.
  std::uint64_t identity() const { return identity_.number(); }
  Index parameter_count() const;
  /// Those that are not frozen.
  Index trainable_parameter_count() const;

  /// Sets `trainable` of every parameter from here down.
  void freeze(bool on = true);

  /// Draws all parameters anew from the layers' default initializers. What is drawn depends on the seed and
  /// the parameters' dotted names alone.
  void initialize(std::uint64_t seed);

 protected:
  // Defined in the library, as Parameter's. Assignment changes the value of a layer, not its place: path and
  // mode stay.
  Layer();
  Layer(const Layer&);
  Layer(Layer&&) noexcept;
  Layer& operator=(const Layer&);
  Layer& operator=(Layer&&) noexcept;

  // x and dy are the layer's to keep or to overwrite. Shapes have been checked.
  virtual Tensor<T> do_forward(Tensor<T> x, Record& record) = 0;
  virtual Tensor<T> do_backward(Tensor<T> dy, Record& record) = 0;
  virtual void do_backward_parameters(Tensor<T> dy, Record& record) { do_backward(std::move(dy), record); }
  virtual Tensor<T> do_infer(Tensor<T> x) const = 0;

  virtual std::vector<Parameter<T>*> own_parameters() { return {}; }
  virtual std::vector<Buffer<T>> own_buffers() { return {}; }
  virtual void reset_parameters(Random& /*random*/) {}
  /// The same of this layer alone, by default of own_parameters.
  virtual void check_own_tensors() const;

  /// Throws StateError if its value has been moved to another object.
  void check_value() const;
  /// For containers: the structure is another now, so that no earlier record fits.
  void renew_identity() { identity_ = detail::Identity(); }

  /// Throws ShapeError: "Conv2D 'features.3': expected …, got (64, 3, 32, 32)".
  [[noreturn]] void fail_shape(const std::string& expected, const Shape& got) const;

 private:
  template <class>
  friend class Container;

  void check_output(const Tensor<T>& y, const Shape& promised, const char* call) const;
  void begin_backward(const Tensor<T>& dy, Record& record) const;
  Layer* search(std::string_view relative_path);

  std::shared_ptr<const std::string> path_;  // null if it is empty; a value that is moved leaves it behind
  bool training_ = true;
  detail::Identity identity_;
  Record record_;
};

/// While one lives, every layer that runs on this thread checks its outputs and input gradients, and throws
/// NotFiniteError naming the layer where the first NaN or infinity appears. Slow: for finding a fault.
class FiniteChecks {
 public:
  FiniteChecks();
  ~FiniteChecks();
  FiniteChecks(const FiniteChecks&) = delete;
  FiniteChecks& operator=(const FiniteChecks&) = delete;

  /// On this thread.
  static bool active();
};

extern template class Layer<float>;

}  // namespace strata
