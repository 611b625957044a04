// Small random networks of every class of layers, for random sequences of calls.
#pragma once

#include "strata/strata.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata::testing {

/// A layer that takes `shape`, which becomes what it makes. Its parameters are random: with a beta of exactly
/// 0, say, a constant channel would lie on a rectifier's kink, where rounding decides.
std::unique_ptr<Layer<double>> random_layer(Random& random, Shape& shape, int depth = 0);

/// The names of a network's own layers.
std::vector<std::string> layer_names(Layer<double>& net);

/// A network that takes this shape. Its first layers are a convolution, a norm and a rectifier, mostly.
template <class Net>
Net random_network(Random& random, const Shape& input);

}  // namespace strata::testing
