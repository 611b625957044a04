// Graph: layers and joins wired by name.
#pragma once

#include <concepts>

#include "strata/framework/export.hpp"
#include "strata/framework/graph/container.hpp"
#include "strata/framework/graph/join.hpp"

namespace STRATA_EXPORT strata {

/// A directed acyclic graph of layers.
///
///   Graph<float> block;
///   block.input("x")
///       .add("conv", Conv2D<float>{16, 16, 3, {.padding = 1}}, "x")
///       .join("sum", Add<float>{}, {"conv", "x"})
///       .output("sum");
///
/// Nodes may be named in any order, before or after what they refer to. Where a value goes to several
/// consumers, their gradients are added. A name may hold dots ("layer1.0.conv1"). With one input and one
/// output it is a layer as any other; with more, use the calls that take vectors.
template <class T>
class Graph final : public Container<T> {
 public:
  // Defined in the library, as Parameter's.
  Graph();
  Graph(const Graph& other);
  Graph(Graph&&) noexcept;
  Graph& operator=(const Graph& other);
  Graph& operator=(Graph&& other);
  ~Graph() override;

  // These throw GraphError for a name that is taken, empty or has a dot at an end.
  Graph& input(std::string name);
  Graph& add(std::string name, std::unique_ptr<Layer<T>> layer, std::string from);
  template <std::derived_from<Layer<T>> L>
  [[gnu::cold]] Graph& add(std::string name, L layer, std::string from) {
    return add(std::move(name), std::make_unique<L>(std::move(layer)), std::move(from));
  }
  /// The layer of another node at one more place: its parameters are the same, and have the sum of the
  /// gradients of all places. Files and lists of parameters have it once.
  Graph& reuse(std::string name, std::string layer, std::string from);
  /// Puts a layer in the place of the one of this node: it takes over its path, mode and wires. Throws
  /// GraphError if the node is not a layer or reuses one.
  Graph& replace(const std::string& name, std::unique_ptr<Layer<T>> layer);
  template <std::derived_from<Layer<T>> L>
  [[gnu::cold]] Graph& replace(const std::string& name, L layer) {
    return replace(name, std::make_unique<L>(std::move(layer)));
  }
  Graph& join(std::string name, std::unique_ptr<Join<T>> join, std::vector<std::string> from);
  template <std::derived_from<Join<T>> J>
  [[gnu::cold]] Graph& join(std::string name, J node, std::vector<std::string> from) {
    return join(std::move(name), std::make_unique<J>(std::move(node)), std::move(from));
  }
  /// The value of a node, or an input, is a result. Throws GraphError if it is one already.
  Graph& output(std::string node);

  /// Throws GraphError unless the graph is complete: it has inputs and outputs, every name that is referred
  /// to exists, there is no cycle, every node is used, and no two layers within share a path. Every other
  /// call that needs it does the same first.
  void check() const;

  Index input_count() const { return static_cast<Index>(inputs_.size()); }
  Index output_count() const { return static_cast<Index>(outputs_.size()); }

  // One tensor per input or output, in the order of their declaration. Throw as the calls of one tensor do,
  // and ShapeError for the wrong number of tensors.
  using Layer<T>::forward;
  using Layer<T>::backward;
  using Layer<T>::backward_parameters;
  using Layer<T>::infer;
  std::vector<Tensor<T>> forward(std::vector<Tensor<T>> x, Record& record);
  std::vector<Tensor<T>> backward(std::vector<Tensor<T>> dy, Record& record);
  void backward_parameters(std::vector<Tensor<T>> dy, Record& record);
  std::vector<Tensor<T>> forward(std::vector<Tensor<T>> x) {
    return forward(std::move(x), this->own_record());
  }
  std::vector<Tensor<T>> backward(std::vector<Tensor<T>> dy) {
    return backward(std::move(dy), this->own_record());
  }
  void backward_parameters(std::vector<Tensor<T>> dy) {
    backward_parameters(std::move(dy), this->own_record());
  }
  std::vector<Tensor<T>> infer(std::vector<Tensor<T>> x) const;
  std::vector<Shape> output_shapes(const std::vector<Shape>& inputs) const;
  std::vector<typename Layer<T>::Step> steps(const std::vector<Shape>& inputs) const;

  /// Throws StateError unless there is one input and one output.
  void set_path(std::string path) override;
  Shape output_shape(const Shape& input) const override;
  std::vector<typename Layer<T>::Step> steps(const Shape& input) const override;
  bool is_per_sample() const override;
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Graph>(*this); }
  std::string type() const override { return "Graph"; }
  std::vector<typename Layer<T>::Child> children() override;
  std::vector<std::size_t> append_to(FlatNetwork<T>& network,
                                     const std::vector<std::size_t>& inputs) const override;

 private:
  // An input, which takes nothing, a layer, a join, or the layer of another node, `reused`.
  struct Node {
    std::string name;
    std::vector<std::string> from;
    std::unique_ptr<Layer<T>> layer = nullptr;
    std::unique_ptr<Join<T>> join = nullptr;
    std::string reused = "";
    std::vector<std::size_t> sources = {};  // the nodes of `from`
    std::size_t reused_node = 0;
  };
  Graph& append(Node node);
  void connect();
  std::string find_problem();
  void require_single() const;
  void expect_inputs(std::size_t count) const;
  std::vector<std::string> node_names() const;
  bool is_input(std::size_t node) const { return nodes_[node].from.empty(); }
  /// The layer that a node runs, or null.
  Layer<T>* layer_of(const Node& node) const {
    return node.reused.empty() ? node.layer.get() : nodes_[node.reused_node].layer.get();
  }

  std::vector<Node> nodes_;
  std::vector<std::size_t> inputs_;
  std::vector<std::string> output_names_;
  // Settled anew with every change, so that const calls can share it between threads.
  std::string problem_ = "has no input";
  std::vector<std::size_t> order_;    // of execution: every node after its sources
  std::vector<std::size_t> outputs_;  // the nodes of output_names_
};

extern template class Graph<float>;

}  // namespace strata
