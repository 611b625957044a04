// Which layer a node is, for the rules of fusion.
#pragma once

#include <typeinfo>

#include "strata/framework/graph/step.hpp"
#include "strata/layers/leaky_relu.hpp"
#include "strata/layers/normalization/normalization_layer.hpp"

namespace strata::fusion {

/// Node k of the stretch if it is a layer (or join) of this very class, else null. Not of a class that a
/// program derives from it, which may compute something else.
template <class Wanted, class T>
Wanted* exactly(Stretch<T> nodes, std::size_t k) {
  if (k >= nodes.size()) return nullptr;
  if constexpr (std::is_base_of_v<Layer<T>, Wanted>) {
    Layer<T>* layer = nodes[k]->layer;
    return layer && typeid(*layer) == typeid(Wanted) ? static_cast<Wanted*>(layer) : nullptr;
  } else {
    const Join<T>* join = nodes[k]->join;
    return join && typeid(*join) == typeid(Wanted) ? static_cast<const Wanted*>(join) : nullptr;
  }
}

/// The same for any normalizing layer of the library.
template <class T>
NormalizationLayer<T>* norm_at(Stretch<T> nodes, std::size_t k);
/// The same for ReLU and LeakyReLU.
template <class T>
LeakyReLU<T>* rectifier_at(Stretch<T> nodes, std::size_t k);

}  // namespace strata::fusion
