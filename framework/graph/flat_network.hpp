// FlatNetwork: a network without its containers.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "strata/framework/graph/join.hpp"
#include "strata/framework/layer.hpp"

namespace strata {

/// Values are numbered: first the network's inputs, then what each node makes.
using ValueIndex = std::size_t;

/// A layer or a join in its network.
template <class T>
struct Node {
  Layer<T>* layer = nullptr;  ///< null for a join
  const Join<T>* join = nullptr;
  std::vector<ValueIndex> sources = {};  ///< the values that it takes; a layer takes one
  // Of what it takes and makes, once the shapes of the network's inputs are known.
  std::vector<Shape> inputs = {};
  Shape output = {};
};

/// The layers and joins of a network in an order in which they can run, those of nested containers among
/// them. A layer may stand at several places. It does not own them.
template <class T>
struct FlatNetwork {
  std::size_t inputs = 0;
  std::vector<Node<T>> nodes;       ///< node i makes value inputs + i
  std::vector<ValueIndex> outputs;  ///< the values that are results
  /// Every layer and container that was looked at, a container before what it holds, and its identity then.
  std::vector<std::pair<const Layer<T>*, std::uint64_t>> looked_at;

  /// Appends a layer, or what is in it if it is a container of one input and one output; returns the value it
  /// makes.
  ValueIndex append(Layer<T>& layer, ValueIndex source);
  ValueIndex append(const Join<T>& join, std::vector<ValueIndex> sources);

  /// Fills in every shape. Throws as output_shape does.
  void set_shapes(const std::vector<Shape>& of_inputs);
  const Shape& shape_of(ValueIndex value, const std::vector<Shape>& of_inputs) const {
    return value < inputs ? of_inputs.at(value) : nodes[value - inputs].output;
  }
  /// Whether the network still has this structure.
  bool is_current() const;
  /// How often each value is taken; to be a result counts.
  std::vector<std::size_t> uses() const;
};

extern template struct FlatNetwork<float>;

}  // namespace strata
