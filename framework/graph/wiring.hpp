// Wiring: who takes whose value in a graph of named nodes.
#pragma once

#include <string>
#include <vector>

namespace strata::detail {

struct NamedNode {
  std::string name;
  std::vector<std::string> from;
};

/// Nodes are numbered in the order of their declaration.
struct Wiring {
  /// Every name that is referred to must exist, there must be no cycle, and every node's value must be used.
  Wiring(const std::vector<NamedNode>& nodes, const std::vector<std::string>& output_names);

  std::string problem;  ///< what is wrong, or ""; then the rest is not to be relied on
  std::vector<std::vector<std::size_t>> sources;  ///< of each node: the nodes of `from`
  std::vector<std::size_t> outputs;               ///< the nodes of `output_names`
  /// Of execution: every node after its sources; of those that are ready, the first declared comes first.
  std::vector<std::size_t> order;
};

}  // namespace strata::detail
