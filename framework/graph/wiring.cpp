#include "strata/framework/graph/wiring.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <unordered_map>

#include "strata/framework/io/quote.hpp"

namespace strata::detail {
namespace {

std::string describe_cycle(const std::vector<NamedNode>& nodes,
                           const std::vector<std::vector<std::size_t>>& sources,
                           const std::vector<bool>& ordered) {
  // A node that could not be ordered has a source that could not be: go back until a node comes again.
  std::vector<std::size_t> walk{
      static_cast<std::size_t>(std::find(ordered.begin(), ordered.end(), false) - ordered.begin())};
  while (true) {
    const std::vector<std::size_t>& before = sources[walk.back()];
    const std::size_t next =
        *std::find_if(before.begin(), before.end(), [&](std::size_t i) { return !ordered[i]; });
    const auto first = std::find(walk.begin(), walk.end(), next) - walk.begin();
    walk.push_back(next);
    if (first == std::ssize(walk) - 1) continue;
    std::string text = "there is a cycle: ";
    for (auto i = std::ssize(walk); i-- > first;)
      text += in_quotes(nodes[walk[i]].name) + (i == first ? "" : " -> ");
    return text;
  }
}

}  // namespace

Wiring::Wiring(const std::vector<NamedNode>& nodes, const std::vector<std::string>& output_names)
    : sources(nodes.size()) {
  std::unordered_map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < nodes.size(); ++i) index[nodes[i].name] = i;
  std::vector<std::vector<std::size_t>> consumers(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i)
    for (const std::string& from : nodes[i].from) {
      const auto source = index.find(from);
      if (source == index.end()) {
        problem = in_quotes(nodes[i].name) + " takes " + in_quotes(from) + ", which is not in the graph";
        return;
      }
      sources[i].push_back(source->second);
      consumers[source->second].push_back(i);
    }
  for (const std::string& name : output_names) {
    const auto node = index.find(name);
    if (node == index.end()) {
      problem = "the output " + in_quotes(name) + " is not in the graph";
      return;
    }
    outputs.push_back(node->second);
  }

  // Kahn's algorithm.
  std::vector<std::size_t> missing(nodes.size());
  std::vector<bool> ordered(nodes.size());
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if ((missing[i] = sources[i].size()) == 0) ready.push(i);
  while (!ready.empty()) {
    const std::size_t node = ready.top();
    ready.pop();
    order.push_back(node);
    ordered[node] = true;
    for (const std::size_t consumer : consumers[node])
      if (--missing[consumer] == 0) ready.push(consumer);
  }
  if (order.size() < nodes.size()) {
    problem = describe_cycle(nodes, sources, ordered);
    return;
  }

  std::vector<bool> used(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) used[i] = !consumers[i].empty();
  for (const std::size_t node : outputs) used[node] = true;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (!used[i] && problem.empty())
      problem = in_quotes(nodes[i].name) + " is not used: nothing takes it and it is not an output";
}

}  // namespace strata::detail
