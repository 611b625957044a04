// What a layer owns: parameters that training changes, and buffers that only the layer itself changes.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "strata/framework/export.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

/// A tensor that is learned. Backward overwrites the gradient, it does not add to it. Both keep the shape of
/// the first value.
template <class T>
struct Parameter {
  std::string name;  ///< within its layer, as PyTorch calls it: "weight", "bias"
  Tensor<T> value;
  Tensor<T> gradient;
  bool trainable = true;  ///< optimizers leave a frozen parameter alone
  bool decay = true;      ///< weight decay applies; false for biases and for the parameters of norms

  Parameter();
  Parameter(std::string name, Tensor<T> value, bool decay = true);
  Parameter(const Parameter&);
  Parameter(Parameter&&) noexcept;
  Parameter& operator=(const Parameter&);
  Parameter& operator=(Parameter&&) noexcept;
  ~Parameter();

  /// The shape that it was made with.
  const Shape& shape() const { return shape_; }
  /// "a weight of shape (4, 3), got (3, 4)": what was expected of value and gradient, and what someone has
  /// put in their place; empty if they are right.
  std::string misfit() const;

 private:
  Shape shape_;
};

/// A named view of a part of a layer's state that is not learned: running averages (tensors) and counters.
/// Checkpoints hold every buffer; files of weights only those that are part of what the network computes.
template <class T>
struct Buffer {
  std::string name;
  std::variant<Tensor<T>*, std::int64_t*> value;
  bool in_weights = true;  ///< false: only needed to resume a run, such as dropout's position
};

extern template struct Parameter<float>;

}  // namespace strata
