#include "strata/framework/graph/flat_network.hpp"

#include <algorithm>

#include "strata/framework/graph/container.hpp"

namespace strata {

template <class T>
ValueIndex FlatNetwork<T>::append(Layer<T>& layer, ValueIndex source) {
  looked_at.emplace_back(&layer, layer.identity());
  if (const auto* container = dynamic_cast<const Container<T>*>(&layer))
    return container->append_to(*this, {source}).at(0);
  nodes.push_back({.layer = &layer, .sources = {source}});
  return inputs + nodes.size() - 1;
}

template <class T>
ValueIndex FlatNetwork<T>::append(const Join<T>& join, std::vector<ValueIndex> sources) {
  nodes.push_back({.join = &join, .sources = std::move(sources)});
  return inputs + nodes.size() - 1;
}

template <class T>
void FlatNetwork<T>::set_shapes(const std::vector<Shape>& of_inputs) {
  for (Node<T>& node : nodes) {
    node.inputs.clear();
    for (const ValueIndex source : node.sources) node.inputs.push_back(shape_of(source, of_inputs));
    node.output =
        node.layer ? node.layer->output_shape(node.inputs[0]) : node.join->output_shape(node.inputs);
  }
}

// A container stands before what it holds: if it has changed, nobody looks at layers that it may have
// destroyed.
template <class T>
bool FlatNetwork<T>::is_current() const {
  return std::all_of(looked_at.begin(), looked_at.end(),
                     [](const auto& then) { return then.first->identity() == then.second; });
}

template <class T>
std::vector<std::size_t> FlatNetwork<T>::uses() const {
  std::vector<std::size_t> counts(inputs + nodes.size());
  for (const Node<T>& node : nodes)
    for (const ValueIndex source : node.sources) ++counts[source];
  for (const ValueIndex output : outputs) ++counts[output];
  return counts;
}

template struct FlatNetwork<float>;
template struct FlatNetwork<double>;

}  // namespace strata
