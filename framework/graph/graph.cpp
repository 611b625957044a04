#include "strata/framework/graph/graph.hpp"

#include <algorithm>

#include "strata/framework/graph/inference_parts.hpp"

namespace strata {
namespace {

std::string quoted(const std::string& name) {
  return "'" + name + "'";
}

std::string counted(std::size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

template <class T>
std::vector<Shape> shapes_of(const std::vector<Tensor<T>>& tensors) {
  std::vector<Shape> shapes;
  for (const Tensor<T>& tensor : tensors) shapes.push_back(tensor.shape());
  return shapes;
}

template <class T>
std::vector<Tensor<T>> one(Tensor<T> tensor) {
  std::vector<Tensor<T>> list;  // an initializer list would copy
  list.push_back(std::move(tensor));
  return list;
}

template <class T>
std::vector<Tensor<T>> take_all(std::vector<Shared<T>> values) {
  std::vector<Tensor<T>> tensors;
  for (Shared<T>& value : values) tensors.push_back(std::move(value).take());
  return tensors;
}

}  // namespace

template <class T>
Graph<T>::Graph() = default;
template <class T>
Graph<T>::Graph(Graph&&) noexcept = default;
template <class T>
Graph<T>& Graph<T>::operator=(Graph&&) noexcept = default;
template <class T>
Graph<T>::~Graph() = default;

template <class T>
Graph<T>::Graph(const Graph& other)
    : Layer<T>(other),
      inputs_(other.inputs_),
      output_names_(other.output_names_),
      problem_(other.problem_),
      order_(other.order_),
      outputs_(other.outputs_),
      fused_(other.fused_),
      shapes_(other.shapes_),
      layouts_(other.layouts_),
      backward_of_several_due_(other.backward_of_several_due_) {
  for (const Node& node : other.nodes_)
    nodes_.push_back({node.name, node.from, node.layer ? node.layer->clone() : nullptr,
                      node.join ? node.join->clone() : nullptr, node.sources, node.uses});
  connect(&other);
}

template <class T>
Graph<T>& Graph<T>::operator=(const Graph& other) {
  return *this = Graph(other);
}

template <class T>
Graph<T>& Graph<T>::append(Node node) {
  if (node.name.empty() || node.name.front() == '.' || node.name.back() == '.')
    throw GraphError(this->label() + ": " + quoted(node.name) + " cannot name a node");
  for (const Node& other : nodes_)
    if (other.name == node.name)
      throw GraphError(this->label() + ": there are two nodes named " + quoted(node.name));
  const std::string path = this->path().empty() ? node.name : this->path() + "." + node.name;
  if (node.layer) node.layer->set_path(path);
  if (node.join) node.join->set_path(path);
  nodes_.push_back(std::move(node));
  if (is_input(nodes_.size() - 1)) inputs_.push_back(nodes_.size() - 1);
  plan();
  return *this;
}

template <class T>
Graph<T>& Graph<T>::input(std::string name) {
  return append({.name = std::move(name), .from = {}, .layer = {}, .join = {}, .sources = {}});
}

template <class T>
Graph<T>& Graph<T>::add(std::string name, std::unique_ptr<Layer<T>> layer, std::string from) {
  if (!layer) throw GraphError(this->label() + ": layer " + quoted(name) + " is null");
  return append({.name = std::move(name),
                 .from = {std::move(from)},
                 .layer = std::move(layer),
                 .join = {},
                 .sources = {}});
}

template <class T>
Graph<T>& Graph<T>::join(std::string name, std::unique_ptr<Join<T>> join, std::vector<std::string> from) {
  if (!join) throw GraphError(this->label() + ": join " + quoted(name) + " is null");
  if (from.empty()) throw GraphError(this->label() + ": join " + quoted(name) + " takes nothing");
  return append({.name = std::move(name),
                 .from = std::move(from),
                 .layer = {},
                 .join = std::move(join),
                 .sources = {}});
}

template <class T>
Graph<T>& Graph<T>::output(std::string node) {
  if (std::find(output_names_.begin(), output_names_.end(), node) != output_names_.end())
    throw GraphError(this->label() + ": " + quoted(node) + " is an output already");
  output_names_.push_back(std::move(node));
  plan();
  return *this;
}

template <class T>
void Graph<T>::check() const {
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
std::vector<Shape> Graph<T>::node_shapes(const std::vector<Shape>& inputs) const {
  check();
  if (inputs.size() != inputs_.size())
    throw ShapeError(this->label() + ": expected " + counted(inputs_.size(), "input tensor") + ", got " +
                     std::to_string(inputs.size()));
  std::vector<Shape> shapes(nodes_.size());
  for (std::size_t k = 0; k < inputs.size(); ++k) shapes[inputs_[k]] = inputs[k];
  for (const std::size_t i : order_) {
    const Node& node = nodes_[i];
    if (node.layer) shapes[i] = node.layer->output_shape(shapes[node.sources[0]]);
    if (!node.join) continue;
    std::vector<Shape> joined;
    for (const std::size_t source : node.sources) joined.push_back(shapes[source]);
    shapes[i] = node.join->output_shape(joined);
  }
  return shapes;
}

template <class T>
template <class RunChain, class RunJoin>
std::vector<Tensor<T>> Graph<T>::run(std::vector<Tensor<T>> x, const RunChain& run_chain,
                                     const RunJoin& run_join) const {
  std::vector<Shared<T>> values(nodes_.size());
  std::vector<std::size_t> uses;
  for (const Node& node : nodes_) uses.push_back(node.uses);
  for (std::size_t k = 0; k < x.size(); ++k) values[inputs_[k]] = std::move(x[k]);
  // The last to take a value gets its memory, so that nothing is kept that no one will read.
  const auto take = [&](std::size_t i) { return --uses[i] == 0 ? std::move(values[i]) : values[i]; };
  for (const std::size_t i : order_) {
    const Node& node = nodes_[i];
    if (node.chain) values[i] = run_chain(i, take(node.chain_source));
    if (!node.join) continue;
    std::vector<Shared<T>> joined;
    for (const std::size_t source : node.sources) joined.push_back(take(source));
    values[i] = run_join(node, std::move(joined));
  }
  std::vector<Tensor<T>> y;
  for (const std::size_t node : outputs_) y.push_back(take(node).take());
  return y;
}

template <class T>
std::vector<Tensor<T>> Graph<T>::run_backward(std::vector<Tensor<T>> dy, bool parameters_only) {
  // To be added: two at most of each node, which a join behind may add as it reads them.
  std::vector<std::vector<Shared<T>>> gradients(nodes_.size());
  const auto total = [&](std::size_t i) {
    std::vector<Shared<T>> parts = std::move(gradients[i]);
    return parts.size() == 1 ? std::move(parts[0]) : added(std::move(parts[0]), std::move(parts[1]));
  };
  const auto give = [&](std::size_t i, Shared<T> gradient) {
    if (gradients[i].size() == 2) gradients[i].assign(1, total(i));
    gradients[i].push_back(std::move(gradient));
  };
  const auto is_needed = [&](std::size_t source) { return !parameters_only || !is_input(source); };

  for (std::size_t k = 0; k < dy.size(); ++k) give(outputs_[k], std::move(dy[k]));
  for (auto i = order_.rbegin(); i != order_.rend(); ++i) {
    const Node& node = nodes_[*i];
    if (node.chain) {
      if (!is_needed(node.chain_source))
        node.chain->backward_parameters(total(*i));
      else if (fused_ && node.chain->is_taken(Pass::training))
        for (Shared<T>& part : gradients[*i]) give(node.chain_source, std::move(part));
      else
        give(node.chain_source, node.chain->backward(total(*i)));
    } else if (node.join && std::any_of(node.sources.begin(), node.sources.end(), is_needed)) {
      std::vector<Shared<T>> dx;
      if (fused_ && node.training) {
        dx = node.training->backward(std::move(gradients[*i]));
      } else {
        std::vector<Shape> joined;
        for (const std::size_t source : node.sources) joined.push_back(shapes_[source]);
        for (Tensor<T>& gradient : node.join->backward(total(*i).take(), joined))
          dx.emplace_back(std::move(gradient));
      }
      for (std::size_t k = 0; k < dx.size(); ++k)
        if (is_needed(node.sources[k])) give(node.sources[k], std::move(dx[k]));
    }
  }
  std::vector<Tensor<T>> dx;
  if (!parameters_only)
    for (const std::size_t node : inputs_) dx.push_back(total(node).take());
  return dx;
}

template <class T>
std::vector<Tensor<T>> Graph<T>::run_forward(std::vector<Tensor<T>> x) {
  shapes_ = node_shapes(shapes_of(x));
  fused_ = Chain<T>::may_fuse();
  layouts_ = fused_ ? choose_layouts(Pass::training, shapes_)
                    : std::vector<ImageLayout>(nodes_.size(), ImageLayout::planes);
  return run(
      std::move(x),
      [&](std::size_t i, Shared<T> value) {
        Node& node = nodes_[i];
        return node.chain->forward(std::move(value), fused_, {layouts_[node.chain_source], layouts_[i]});
      },
      [&](const Node& node, std::vector<Shared<T>> values) {
        return fused_ && node.training ? node.training->forward(std::move(values))
                                       : node.join->forward(take_all(std::move(values)));
      });
}

template <class T>
std::vector<Tensor<T>> Graph<T>::forward(std::vector<Tensor<T>> x) {
  if (x.size() == 1 && input_count() == 1 && output_count() == 1)
    return one(Layer<T>::forward(std::move(x[0])));
  backward_of_several_due_ = false;
  std::vector<Tensor<T>> y = run_forward(std::move(x));
  backward_of_several_due_ = true;
  return y;
}

template <class T>
void Graph<T>::begin_backward(const std::vector<Tensor<T>>& dy) {
  if (!backward_of_several_due_) throw StateError(this->label() + ": backward needs a forward before it");
  if (dy.size() != outputs_.size())
    throw ShapeError(this->label() + ": expected " + counted(outputs_.size(), "output gradient") + ", got " +
                     std::to_string(dy.size()));
  for (std::size_t k = 0; k < dy.size(); ++k)
    if (dy[k].shape() != shapes_[outputs_[k]])
      throw ShapeError(this->label() + ": expected a gradient of output " + quoted(output_names_[k]) +
                       " of shape " + to_string(shapes_[outputs_[k]]) + ", got " + to_string(dy[k].shape()));
  backward_of_several_due_ = false;
}

template <class T>
std::vector<Tensor<T>> Graph<T>::backward(std::vector<Tensor<T>> dy) {
  if (dy.size() == 1 && input_count() == 1 && output_count() == 1)
    return one(Layer<T>::backward(std::move(dy[0])));
  begin_backward(dy);
  return run_backward(std::move(dy), false);
}

template <class T>
void Graph<T>::backward_parameters(std::vector<Tensor<T>> dy) {
  if (dy.size() == 1 && input_count() == 1 && output_count() == 1)
    return Layer<T>::backward_parameters(std::move(dy[0]));
  begin_backward(dy);
  run_backward(std::move(dy), true);
}

template <class T>
std::vector<Tensor<T>> Graph<T>::infer(std::vector<Tensor<T>> x) const {
  node_shapes(shapes_of(x));
  return run_infer(std::move(x));
}

template <class T>
std::vector<Tensor<T>> Graph<T>::run_infer(std::vector<Tensor<T>> x) const {
  const bool fuse = Chain<T>::may_fuse();
  std::vector<ImageLayout> layouts(nodes_.size(), ImageLayout::planes);
  if (fuse) layouts = choose_layouts(Pass::inference, node_shapes(shapes_of(x)));
  return run(
      std::move(x),
      [&](std::size_t i, Shared<T> value) {
        const Node& node = nodes_[i];
        if (fuse && node.waits) return value;
        return node.chain->infer(std::move(value), fuse, {layouts[node.chain_source], layouts[i]});
      },
      [&](const Node& node, std::vector<Shared<T>> values) -> Shared<T> {
        if (!fuse || !node.inference) return node.join->forward(take_all(std::move(values)));
        if (!node.joining) return node.inference->infer(std::move(values));
        const std::size_t k = *node.joining, last = node.sources[k];
        const Chain<T>& chain = *nodes_[last].chain;
        return chain.infer(std::move(values[k]), fuse, {layouts[nodes_[last].chain_source], layouts[last]},
                           std::move(values[1 - k]));
      });
}

template <class T>
std::vector<Shape> Graph<T>::output_shapes(const std::vector<Shape>& inputs) const {
  const std::vector<Shape> shapes = node_shapes(inputs);
  std::vector<Shape> result;
  for (const std::size_t node : outputs_) result.push_back(shapes[node]);
  return result;
}

template <class T>
std::vector<typename Layer<T>::Step> Graph<T>::steps(const std::vector<Shape>& inputs) const {
  const std::vector<Shape> shapes = node_shapes(inputs);
  std::vector<typename Layer<T>::Step> all;
  for (const std::size_t i : order_) {
    const Node& node = nodes_[i];
    if (is_input(i)) continue;
    all.push_back({node.name, node.layer ? node.layer->type() : node.join->type(), node.layer.get(),
                   shapes[node.sources[0]], shapes[i]});
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
    if (node.join) node.join->set_path(this->path().empty() ? node.name : this->path() + "." + node.name);
}

template <class T>
Shape Graph<T>::output_shape(const Shape& input) const {
  require_single();
  return output_shapes({input})[0];
}

template <class T>
std::uint64_t Graph<T>::multiply_adds(const Shape& input) const {
  std::uint64_t total = 0;
  for (const auto& step : steps(input))
    if (step.layer) total += step.layer->multiply_adds(step.input);
  return total;
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

template <class T>
Tensor<T> Graph<T>::do_forward(Tensor<T> x) {
  return std::move(run_forward(one(std::move(x)))[0]);
}

template <class T>
Tensor<T> Graph<T>::do_backward(Tensor<T> dy) {
  return std::move(run_backward(one(std::move(dy)), false)[0]);
}

template <class T>
void Graph<T>::do_backward_parameters(Tensor<T> dy) {
  run_backward(one(std::move(dy)), true);
}

template <class T>
Tensor<T> Graph<T>::do_infer(Tensor<T> x) const {
  return detail::infer_in_parts<T>(
      *this, std::move(x), [this](Tensor<T> part) { return std::move(run_infer(one(std::move(part)))[0]); });
}

template class Graph<float>;
template class Graph<double>;

}  // namespace strata
