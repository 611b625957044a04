// Record: what a forward leaves for its backward.
#pragma once

#include <any>
#include <cstdint>
#include <utility>

#include "strata/framework/error.hpp"
#include "strata/framework/export.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

template <class T>
class Layer;
template <class T>
class Container;

/// What one forward leaves for the one backward that belongs to it: PyTorch's ctx, the course's cache.
/// Whoever runs a layer owns the record, so that a layer may run forward several times before its backwards,
/// each with a record:
///
///   Record first, second;
///   auto y1 = net.forward(x1, first), y2 = net.forward(x2, second);
///   net.backward(dy1, first);
///
/// A layer's do_forward keeps one value of any type, its do_backward takes it.
class Record {
 public:
  // Out of line, so that programs compile sooner.
  Record();
  Record(Record&&) noexcept;
  Record& operator=(Record&&) noexcept;
  ~Record();

  /// Keeps a value, in place of what was kept before, and returns the kept one.
  template <class Value>
  Value& keep(Value value) {
    return kept_.emplace<Value>(std::move(value));
  }
  /// What was kept. Throws StateError if it is nothing of this type.
  template <class Value>
  Value& kept() {
    if (Value* value = std::any_cast<Value>(&kept_)) return *value;
    throw StateError("Record: backward asks for a value that forward did not keep");
  }
  /// Whether it is of this type.
  template <class Value>
  bool keeps() const {
    return std::any_cast<Value>(&kept_) != nullptr;
  }
  /// Hands it over. Throws as kept does.
  template <class Value>
  Value take() {
    Value value = std::move(kept<Value>());
    kept_.reset();
    return value;
  }

  /// Of the forward, as the layer was given x and returned y.
  const Shape& input_shape() const { return input_shape_; }
  const Shape& output_shape() const { return output_shape_; }

 private:
  template <class T>
  friend class Layer;
  template <class T>
  friend class Container;

  std::uint64_t owner_ = 0;  // the identity of the layer whose backward is due, or 0
  Shape input_shape_;
  Shape output_shape_;
  std::any kept_;
};

}  // namespace strata
