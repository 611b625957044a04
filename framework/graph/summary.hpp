// Summary: what a network is made of.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/graph/graph.hpp"
#include "strata/framework/layer.hpp"

namespace STRATA_EXPORT strata {

struct SummaryRow {
  std::string path;     ///< dotted, relative to the network
  std::string type;     ///< "Conv2D"
  std::string options;  ///< "3 -> 32, kernel 3x3"
  Shape output;
  std::string algorithm;   ///< "winograd 4x4"; empty where there is no choice
  bool container = false;  ///< then what follows is zero: its parts have rows of their own
  std::uint64_t parameters = 0;
  std::uint64_t multiply_adds = 0;  ///< of one forward pass of the whole batch
  std::uint64_t output_bytes = 0;
};

struct Summary {
  std::vector<SummaryRow> rows;
  std::uint64_t parameters = 0;
  std::uint64_t trainable_parameters = 0;
  std::uint64_t parameter_bytes = 0;
  std::uint64_t multiply_adds = 0;
  std::uint64_t output_bytes = 0;  ///< of all layers together

  /// A table with the totals below.
  std::string to_string() const;
};

std::ostream& operator<<(std::ostream& stream, const Summary& summary);

/// One row per layer for an input of this shape, the batch included; nothing is run. Throws ShapeError.
template <class T>
STRATA_EXPORT Summary summary(const Layer<T>& net, const Shape& input);
/// The same for a graph of several inputs.
template <class T>
STRATA_EXPORT Summary summary(const Graph<T>& net, const std::vector<Shape>& inputs);

}  // namespace strata
