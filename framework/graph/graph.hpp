// Graph: layers and joins wired by name.
#pragma once

#include <concepts>
#include <optional>

#include "strata/framework/graph/chain.hpp"
#include "strata/framework/graph/join.hpp"

namespace strata {

/// A directed acyclic graph of layers.
///
///   Graph<float> block;
///   block.input("x")
///       .add("conv", Conv2D<float>{16, 16, 3, {.padding = 1}}, "x")
///       .join("sum", Add<float>{}, {"conv", "x"})
///       .output("sum");
///
/// Nodes may be named in any order, before or after what they refer to. Where a value goes to several
/// consumers, their gradients are added, those of later nodes first (layers in a row count where the last
/// stands). A name may hold dots
/// ("layer1.0.conv1"). With one input and one output it is a layer as any other; with more, use the calls
/// that take vectors.
template <class T>
class Graph final : public Layer<T> {
 public:
  // Defined in the library, as Parameter's.
  Graph();
  Graph(const Graph& other);
  Graph(Graph&&) noexcept;
  Graph& operator=(const Graph& other);
  Graph& operator=(Graph&&) noexcept;
  ~Graph() override;

  // These throw GraphError for a name that is taken, empty or has a dot at an end.
  Graph& input(std::string name);
  Graph& add(std::string name, std::unique_ptr<Layer<T>> layer, std::string from);
  template <std::derived_from<Layer<T>> L>
  [[gnu::cold]] Graph& add(std::string name, L layer, std::string from) {
    return add(std::move(name), std::make_unique<L>(std::move(layer)), std::move(from));
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
  std::vector<Tensor<T>> forward(std::vector<Tensor<T>> x);
  std::vector<Tensor<T>> backward(std::vector<Tensor<T>> dy);
  void backward_parameters(std::vector<Tensor<T>> dy);
  std::vector<Tensor<T>> infer(std::vector<Tensor<T>> x) const;
  std::vector<Shape> output_shapes(const std::vector<Shape>& inputs) const;
  std::vector<typename Layer<T>::Step> steps(const std::vector<Shape>& inputs) const;

  /// Throws StateError unless there is one input and one output.
  void set_path(std::string path) override;
  Shape output_shape(const Shape& input) const override;
  std::uint64_t multiply_adds(const Shape& input) const override;
  std::vector<typename Layer<T>::Step> steps(const Shape& input) const override;
  bool is_per_sample() const override;
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Graph>(*this); }
  std::string type() const override { return "Graph"; }
  std::vector<typename Layer<T>::Child> children() override;

 protected:
  Tensor<T> do_forward(Tensor<T> x) override;
  Tensor<T> do_backward(Tensor<T> dy) override;
  void do_backward_parameters(Tensor<T> dy) override;
  Tensor<T> do_infer(Tensor<T> x) const override;

 private:
  // An input (neither layer nor join), a layer or a join.
  struct Node {
    std::string name;
    std::vector<std::string> from;
    std::unique_ptr<Layer<T>> layer;
    std::unique_ptr<Join<T>> join;
    // Filled in by plan().
    std::vector<std::size_t> sources;  // the nodes of `from`
    std::size_t uses = 0;              // how often its value is taken
    // Of the last layer of a chain: the chain, and the node whose value it takes.
    std::unique_ptr<Chain<T>> chain = nullptr;
    std::size_t chain_source = 0;
    // Of a join that can be fused with its neighbors.
    std::unique_ptr<JoinTraining<T>> training = nullptr;
    std::unique_ptr<JoinInference<T>> inference = nullptr;
    // In infer, a chain may do the work of the join that takes its value. It waits for the join's turn then,
    // and its node has the value that it takes until then.
    bool waits = false;
    std::optional<std::size_t> joining = std::nullopt;  // of the join: which of its sources
  };
  Graph& append(Node node);
  void plan();
  std::string find_problem();
  void connect(const Graph* like);
  std::vector<ImageLayout> choose_layouts(Pass pass, const std::vector<Shape>& shapes) const;
  void require_single() const;
  std::vector<Shape> node_shapes(const std::vector<Shape>& inputs) const;
  template <class RunChain, class RunJoin>
  std::vector<Tensor<T>> run(std::vector<Tensor<T>> x, const RunChain& run_chain,
                             const RunJoin& run_join) const;
  std::vector<Tensor<T>> run_forward(std::vector<Tensor<T>> x);
  std::vector<Tensor<T>> run_infer(std::vector<Tensor<T>> x) const;
  std::vector<Tensor<T>> run_backward(std::vector<Tensor<T>> dy, bool parameters_only);
  void begin_backward(const std::vector<Tensor<T>>& dy);
  bool is_input(std::size_t node) const { return nodes_[node].from.empty(); }

  std::vector<Node> nodes_;
  std::vector<std::size_t> inputs_;
  std::vector<std::string> output_names_;
  // The plan is made anew with every change, so that const calls can share it between threads.
  std::string problem_ = "has no input";
  std::vector<std::size_t> order_;    // of execution: every node after its sources
  std::vector<std::size_t> outputs_;  // the nodes of output_names_
  // Of the last forward.
  bool fused_ = false;
  std::vector<Shape> shapes_;             // of every node's value
  std::vector<ImageLayout> layouts_;      // of every node's value and its gradient
  bool backward_of_several_due_ = false;  // Layer keeps the same for the calls of one tensor
};

extern template class Graph<float>;

}  // namespace strata
