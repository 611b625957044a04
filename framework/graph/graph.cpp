#include "strata/framework/graph/graph.hpp"

#include <algorithm>
#include <unordered_set>

#include "strata/framework/graph/flat_network.hpp"
#include "strata/framework/graph/wiring.hpp"

namespace strata {
namespace {

std::string counted(std::size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// The first path that two layers below `parent` share, or "".
template <class T>
std::string find_shared_path(Layer<T>& parent, const std::string& prefix,
                             std::unordered_set<std::string>& seen) {
  for (const auto& child : parent.children()) {
    const std::string path = prefix + child.name;
    if (!seen.insert(path).second) return path;
    if (std::string shared = find_shared_path(*child.layer, path + ".", seen); !shared.empty()) return shared;
  }
  return "";
}

}  // namespace

template <class T>
Graph<T>::Graph() = default;
template <class T>
Graph<T>::Graph(Graph&&) noexcept = default;
template <class T>
Graph<T>::~Graph() = default;

template <class T>
Graph<T>::Graph(const Graph& other)
    : Container<T>(other),
      inputs_(other.inputs_),
      output_names_(other.output_names_),
      problem_(other.problem_),
      order_(other.order_),
      outputs_(other.outputs_) {
  for (const Node& node : other.nodes_)
    nodes_.push_back({.name = node.name,
                      .from = node.from,
                      .layer = node.layer ? node.layer->clone() : nullptr,
                      .join = node.join ? node.join->clone() : nullptr,
                      .reused = node.reused,
                      .sources = node.sources,
                      .reused_node = node.reused_node});
}

template <class T>
Graph<T>& Graph<T>::operator=(const Graph& other) {
  return *this = Graph(other);
}

template <class T>
Graph<T>& Graph<T>::operator=(Graph&& other) {
  Graph taken(std::move(other));  // which may be this graph, or a part of it
  Container<T>::operator=(std::move(taken));
  nodes_.swap(taken.nodes_);
  inputs_.swap(taken.inputs_);
  output_names_.swap(taken.output_names_);
  problem_.swap(taken.problem_);
  order_.swap(taken.order_);
  outputs_.swap(taken.outputs_);
  this->settle_in();
  return *this;
}

template <class T>
std::vector<std::string> Graph<T>::node_names() const {
  std::vector<std::string> names;
  for (const Node& node : nodes_) names.push_back(node.name);
  return names;
}

template <class T>
Graph<T>& Graph<T>::append(Node node) {
  this->check_name(node.name, "node", node_names());
  if (node.join) node.join->set_path(this->path_of(node.name));
  nodes_.push_back(std::move(node));
  if (is_input(nodes_.size() - 1)) inputs_.push_back(nodes_.size() - 1);
  connect();
  return *this;
}

template <class T>
Graph<T>& Graph<T>::input(std::string name) {
  return append({.name = std::move(name), .from = {}});
}

template <class T>
Graph<T>& Graph<T>::add(std::string name, std::unique_ptr<Layer<T>> layer, std::string from) {
  this->take_in(layer, name);
  return append({.name = std::move(name), .from = {std::move(from)}, .layer = std::move(layer)});
}

template <class T>
Graph<T>& Graph<T>::reuse(std::string name, std::string layer, std::string from) {
  return append({.name = std::move(name), .from = {std::move(from)}, .reused = std::move(layer)});
}

template <class T>
Graph<T>& Graph<T>::replace(const std::string& name, std::unique_ptr<Layer<T>> layer) {
  this->check_value();
  for (Node& node : nodes_) {
    if (node.name != name || !node.layer) continue;
    this->exchange(node.layer, std::move(layer), name);
    connect();  // the paths within may be others
    return *this;
  }
  throw GraphError(this->label() + ": '" + name + "' is not a layer that can be replaced");
}

template <class T>
Graph<T>& Graph<T>::join(std::string name, std::unique_ptr<Join<T>> join, std::vector<std::string> from) {
  if (!join) throw GraphError(this->label() + ": join '" + name + "' is null");
  if (from.empty()) throw GraphError(this->label() + ": join '" + name + "' takes nothing");
  return append({.name = std::move(name), .from = std::move(from), .join = std::move(join)});
}

template <class T>
Graph<T>& Graph<T>::output(std::string node) {
  this->check_value();
  if (std::find(output_names_.begin(), output_names_.end(), node) != output_names_.end())
    throw GraphError(this->label() + ": '" + node + "' is an output already");
  output_names_.push_back(std::move(node));
  connect();
  return *this;
}

template <class T>
void Graph<T>::connect() {
  problem_ = find_problem();
  this->structure_changed();
}

template <class T>
std::string Graph<T>::find_problem() {
  if (inputs_.empty()) return "has no input";
  if (output_names_.empty()) return "has no output";
  std::vector<detail::NamedNode> named;
  for (const Node& node : nodes_) named.push_back({node.name, node.from});
  detail::Wiring wiring(named, output_names_);
  for (std::size_t i = 0; i < nodes_.size(); ++i) nodes_[i].sources = std::move(wiring.sources[i]);
  order_ = std::move(wiring.order);
  outputs_ = std::move(wiring.outputs);
  if (!wiring.problem.empty()) return wiring.problem;
  for (Node& node : nodes_) {
    if (node.reused.empty()) continue;
    const auto of = std::find_if(nodes_.begin(), nodes_.end(),
                                 [&](const Node& other) { return other.layer && other.name == node.reused; });
    if (of == nodes_.end())
      return "'" + node.name + "' reuses '" + node.reused + "', which is not a layer of the graph";
    node.reused_node = static_cast<std::size_t>(of - nodes_.begin());
  }
  std::unordered_set<std::string> seen;
  if (const std::string shared = find_shared_path(*this, "", seen); !shared.empty())
    return "there are two layers with the path '" + shared + "'";
  return "";
}

template <class T>
void Graph<T>::check() const {
  this->check_value();
  if (!problem_.empty()) throw GraphError(this->label() + ": " + problem_);
}

template <class T>
void Graph<T>::require_single() const {
  check();
  if (inputs_.size() != 1 || outputs_.size() != 1)
    throw StateError(this->label() + ": has " + counted(inputs_.size(), "input") + " and " +
                     counted(outputs_.size(), "output") + "; use the calls that take vectors");
}

template <class T>
void Graph<T>::expect_inputs(std::size_t count) const {
  check();
  if (count != inputs_.size())
    throw ShapeError(this->label() + ": expected " + counted(inputs_.size(), "input tensor") + ", got " +
                     std::to_string(count));
}

template <class T>
std::vector<Tensor<T>> Graph<T>::forward(std::vector<Tensor<T>> x, Record& record) {
  expect_inputs(x.size());
  return this->forward_several(std::move(x), record);
}

template <class T>
std::vector<Tensor<T>> Graph<T>::backward(std::vector<Tensor<T>> dy, Record& record) {
  return this->backward_several(std::move(dy), record, /*parameters_only=*/false, output_names_);
}

template <class T>
void Graph<T>::backward_parameters(std::vector<Tensor<T>> dy, Record& record) {
  this->backward_several(std::move(dy), record, /*parameters_only=*/true, output_names_);
}

template <class T>
std::vector<Tensor<T>> Graph<T>::infer(std::vector<Tensor<T>> x) const {
  expect_inputs(x.size());
  this->check_tensors();
  return this->infer_several(std::move(x));
}

template <class T>
std::vector<std::size_t> Graph<T>::append_to(FlatNetwork<T>& network,
                                             const std::vector<std::size_t>& inputs) const {
  expect_inputs(inputs.size());
  std::vector<ValueIndex> values(nodes_.size());
  for (std::size_t k = 0; k < inputs.size(); ++k) values[inputs_[k]] = inputs[k];
  for (const std::size_t i : order_) {
    const Node& node = nodes_[i];
    if (is_input(i)) continue;
    std::vector<ValueIndex> sources;
    for (const std::size_t source : node.sources) sources.push_back(values[source]);
    values[i] = node.join ? network.append(*node.join, sources) : network.append(*layer_of(node), sources[0]);
  }
  std::vector<ValueIndex> results;
  for (const std::size_t node : outputs_) results.push_back(values[node]);
  return results;
}

template <class T>
std::vector<Shape> Graph<T>::output_shapes(const std::vector<Shape>& inputs) const {
  expect_inputs(inputs.size());
  FlatNetwork<T> network = this->flat(inputs.size());
  network.set_shapes(inputs);
  std::vector<Shape> result;
  for (const ValueIndex value : network.outputs) result.push_back(network.shape_of(value, inputs));
  return result;
}

template <class T>
std::vector<typename Layer<T>::Step> Graph<T>::steps(const std::vector<Shape>& inputs) const {
  expect_inputs(inputs.size());
  std::vector<Shape> shapes(nodes_.size());
  for (std::size_t k = 0; k < inputs.size(); ++k) shapes[inputs_[k]] = inputs[k];
  std::vector<typename Layer<T>::Step> all;
  for (const std::size_t i : order_) {
    const Node& node = nodes_[i];
    if (is_input(i)) continue;
    std::vector<Shape> taken;
    for (const std::size_t source : node.sources) taken.push_back(shapes[source]);
    const Layer<T>* layer = layer_of(node);
    shapes[i] = layer ? layer->output_shape(taken[0]) : node.join->output_shape(taken);
    all.push_back({node.name, layer ? layer->type() : node.join->type(), layer, taken[0], shapes[i]});
  }
  return all;
}

template <class T>
std::vector<typename Layer<T>::Step> Graph<T>::steps(const Shape& input) const {
  require_single();
  return steps(std::vector<Shape>{input});
}

template <class T>
void Graph<T>::set_path(std::string path) {
  Layer<T>::set_path(std::move(path));
  for (const Node& node : nodes_)
    if (node.join) node.join->set_path(this->path_of(node.name));
}

template <class T>
Shape Graph<T>::output_shape(const Shape& input) const {
  require_single();
  return output_shapes({input})[0];
}

template <class T>
bool Graph<T>::is_per_sample() const {
  return std::all_of(nodes_.begin(), nodes_.end(), [](const Node& node) {
    return (!node.layer || node.layer->is_per_sample()) && (!node.join || node.join->is_per_sample());
  });
}

template <class T>
std::vector<typename Layer<T>::Child> Graph<T>::children() {
  std::vector<typename Layer<T>::Child> all;
  for (const Node& node : nodes_)
    if (node.layer) all.push_back({node.name, node.layer.get()});
  return all;
}

template class Graph<float>;
template class Graph<double>;

}  // namespace strata
