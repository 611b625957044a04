// For the library's own work on the parameters and buffers of a network.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "strata/framework/layer.hpp"

namespace strata::detail {

/// Pointers to all that a layer and those below it have, for those who keep none: Layer::named_parameters
/// lends them for good.
template <class T>
struct NetworkState {
  static std::vector<std::pair<std::string, Parameter<T>*>> parameters(Layer<T>& net);
  static std::vector<Buffer<T>> buffers(Layer<T>& net);
  static void lend(Layer<T>& net);
  /// To be called after writing.
  static void change(Layer<T>& net);
};

}  // namespace strata::detail
