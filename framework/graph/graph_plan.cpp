// What a Graph settles before it runs: the order of its nodes, what is fused with what, and how values lie in
// memory.
#include <algorithm>
#include <unordered_set>
#include <utility>

#include "strata/framework/graph/graph.hpp"
#include "strata/framework/graph/wiring.hpp"

namespace strata {
namespace {

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
void Graph<T>::plan() {
  problem_ = find_problem();
  this->forget_forward();
  backward_of_several_due_ = false;
  connect(nullptr);
}

template <class T>
void Graph<T>::connect(const Graph* like) {
  for (Node& node : nodes_) {
    node.chain = nullptr;
    node.training = nullptr;
    node.inference = nullptr;
    node.waits = false;
    node.joining = std::nullopt;
  }
  if (!problem_.empty()) return;
  const auto continues = [&](const Node& node) {
    const Node& source = nodes_[node.sources[0]];
    return source.layer && source.uses == 1;
  };
  std::vector<bool> is_last(nodes_.size(), true);
  for (const Node& node : nodes_)
    if (node.layer && continues(node)) is_last[node.sources[0]] = false;
  // By the node of a chain's last layer, the last entry standing for no chain: its layers, and those that the
  // join before it takes.
  const std::size_t none = nodes_.size();
  std::vector<std::vector<Layer<T>*>> layers(none + 1);
  std::vector<typename Chain<T>::Taken> taken(none + 1);
  // By the node whose value a chain takes: that of its last layer.
  std::vector<std::size_t> behind(nodes_.size(), none);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].layer || !is_last[i]) continue;
    const Node* node = &nodes_[i];
    layers[i].push_back(node->layer.get());
    for (; continues(*node); layers[i].push_back(node->layer.get())) node = &nodes_[node->sources[0]];
    std::reverse(layers[i].begin(), layers[i].end());
    nodes_[i].chain_source = node->sources[0];
    behind[node->sources[0]] = i;
  }
  for (const std::size_t i : order_) {
    Node& node = nodes_[i];
    if (!node.join) continue;
    const std::size_t chain = node.uses == 1 ? behind[i] : none;
    if ((node.training = node.join->fuse_training(node.sources.size(), layers[chain])))
      taken[chain].in_training = static_cast<std::size_t>(node.training->size());
    if ((node.inference = node.join->fuse_inference(layers[chain])))
      taken[chain].in_inference = static_cast<std::size_t>(node.inference->size());
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    if (!layers[i].empty())
      nodes_[i].chain = std::make_unique<Chain<T>>(std::move(layers[i]),
                                                   like ? like->nodes_[i].chain.get() : nullptr, taken[i]);
  for (Node& node : nodes_) {
    if (!node.inference || node.sources.size() != 2) continue;
    for (std::size_t k = 0; k < 2 && !node.joining; ++k) {
      Node& source = nodes_[node.sources[k]];
      if (!source.chain || source.uses != 1 || !source.chain->take_join(*node.inference)) continue;
      source.waits = true;
      node.joining = k;
    }
  }
}

// Of pixels are all values of which no one who makes or takes them needs planes.
template <class T>
std::vector<ImageLayout> Graph<T>::choose_layouts(Pass pass, const std::vector<Shape>& shapes) const {
  std::vector<ImageLayout> layouts(nodes_.size(), ImageLayout::pixels);
  const auto is_of_pixels = [&](std::size_t i) { return layouts[i] == ImageLayout::pixels; };
  bool changed = true;
  const auto needs_planes = [&](std::size_t i) {
    changed = changed || is_of_pixels(i);
    layouts[i] = ImageLayout::planes;
  };
  for (const std::size_t i : inputs_) needs_planes(i);
  for (const std::size_t i : outputs_) needs_planes(i);
  const auto is_taken = [&](const Node& node) { return node.chain && node.chain->is_taken(pass); };
  for (const std::size_t i : order_) {
    const Node& node = nodes_[i];
    if (!node.chain || is_taken(node)) continue;
    const Shape& x = shapes[node.chain_source];
    if (is_of_pixels(node.chain_source) && !node.chain->takes_pixels(pass, x))
      needs_planes(node.chain_source);
    if (is_of_pixels(i) && !node.chain->gives_pixels(pass, x)) needs_planes(i);
  }
  const auto spread = [&](std::size_t i) {
    const Node& node = nodes_[i];
    std::vector<std::size_t> alike;  // values that have one layout
    bool may_be_of_pixels = true;
    if (node.join) {
      alike = node.sources;
      const JoinFusion* fused = node.training.get();
      if (pass == Pass::inference) fused = node.inference.get();
      may_be_of_pixels = fused && fused->takes_pixels();
    } else if (is_taken(node)) {
      alike = {node.chain_source};
    } else {
      return;
    }
    alike.push_back(i);
    if (!may_be_of_pixels || !std::all_of(alike.begin(), alike.end(), is_of_pixels))
      for (const std::size_t value : alike) needs_planes(value);
  };
  while (std::exchange(changed, false))
    for (const std::size_t i : order_) spread(i);
  return layouts;
}

template <class T>
std::string Graph<T>::find_problem() {
  if (inputs_.empty()) return "has no input";
  if (output_names_.empty()) return "has no output";
  std::vector<detail::NamedNode> named;
  for (const Node& node : nodes_) named.push_back({node.name, node.from});
  detail::Wiring wiring(named, output_names_);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].sources = std::move(wiring.sources[i]);
    nodes_[i].uses = wiring.uses[i];
  }
  order_ = std::move(wiring.order);
  outputs_ = std::move(wiring.outputs);
  if (!wiring.problem.empty()) return wiring.problem;
  std::unordered_set<std::string> seen;
  if (const std::string shared = find_shared_path(*this, "", seen); !shared.empty())
    return "there are two layers with the path '" + shared + "'";
  return "";
}

#define STRATA_INSTANTIATE(T)                       \
  template void Graph<T>::plan();                   \
  template std::string Graph<T>::find_problem();    \
  template void Graph<T>::connect(const Graph<T>*); \
  template std::vector<ImageLayout> Graph<T>::choose_layouts(Pass, const std::vector<Shape>&) const;
STRATA_INSTANTIATE(float)
STRATA_INSTANTIATE(double)

}  // namespace strata
