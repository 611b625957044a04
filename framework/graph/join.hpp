// Join: several inputs, one output, no state.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/shared.hpp"

namespace STRATA_EXPORT strata {

/// Where branches of a Graph meet. The public calls check shapes; a join implements output_shape and the
/// do_… functions behind them.
template <class T>
class Join {
 public:
  virtual ~Join() = default;

  /// Throws ShapeError.
  Tensor<T> forward(std::vector<Tensor<T>> x) const;
  /// Given dL/d(output) and the shapes that forward was given, returns dL/d(input) for each input. Throws
  /// ShapeError.
  std::vector<Tensor<T>> backward(Tensor<T> dy, const std::vector<Shape>& inputs) const;

  /// Throws ShapeError if the inputs do not fit together.
  virtual Shape output_shape(const std::vector<Shape>& inputs) const = 0;
  /// Whether each sample of the output depends on the same sample of the inputs alone, as Layer's.
  virtual bool is_per_sample() const { return false; }
  virtual std::unique_ptr<Join> clone() const = 0;
  /// The name of the class: "Add".
  virtual std::string type() const = 0;

  /// Called by the Graph.
  void set_path(std::string path) { path_ = std::move(path); }
  /// For messages: "Add 'block1.sum'".
  std::string label() const { return path_.empty() ? type() : type() + " '" + path_ + "'"; }

 protected:
  Join() = default;
  Join(const Join&) = default;
  Join(Join&&) = default;
  Join& operator=(const Join&) = default;
  Join& operator=(Join&&) = default;

  // x and dy are the join's to overwrite. Shapes have been checked; there is at least one input.
  virtual Tensor<T> do_forward(std::vector<Tensor<T>> x) const = 0;
  virtual std::vector<Tensor<T>> do_backward(Tensor<T> dy, const std::vector<Shape>& inputs) const = 0;

  /// Throws ShapeError: "Add 'block1.sum': expected …, got (64, 16, 32, 32) and (64, 32, 32, 32)".
  [[noreturn]] void fail_shapes(const std::string& expected, const std::vector<Shape>& got) const;

 private:
  std::string path_;
};

/// a += b, for tensors of one shape.
template <class T>
STRATA_EXPORT void add_to(Tensor<T>& a, const Tensor<T>& b);
/// a + b, in the memory of one of them unless others hold both. (Not `sum`: xtensor calls its own without
/// naming its namespace, and would find ours.)
template <class T>
STRATA_EXPORT Shared<T> added(Shared<T> a, Shared<T> b);

extern template class Join<float>;

}  // namespace strata
