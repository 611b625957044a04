// What a layer owns: parameters that training changes, and buffers that only the layer itself changes.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "strata/framework/tensor.hpp"

namespace strata {

/// A tensor that is learned. `gradient` has the shape of `value`; backward overwrites it, it does not add to
/// it.
template <class T>
struct Parameter {
  std::string name;  ///< within its layer, as PyTorch calls it: "weight", "bias"
  Tensor<T> value;
  Tensor<T> gradient;
  bool trainable = true;  ///< optimizers leave a frozen parameter alone
  bool decay = true;      ///< weight decay applies; false for biases and for the parameters of norms

  Parameter() = default;
  Parameter(std::string name_, Tensor<T> value_, bool decay_ = true)
      : name(std::move(name_)),
        value(std::move(value_)),
        gradient(full<T>(value.shape(), T{0})),
        decay(decay_) {}
};

/// A named view of a part of a layer's state that is not learned: running averages (tensors) and counters.
/// Checkpoints hold every buffer; files of weights only those that are part of what the network computes.
template <class T>
struct Buffer {
  std::string name;
  std::variant<Tensor<T>*, std::int64_t*> value;
  bool in_weights = true;  ///< false: only needed to resume a run, such as dropout's position
};

}  // namespace strata
