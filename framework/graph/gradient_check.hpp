// Gradient checks: does backward compute what forward's differences say?
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/graph/graph.hpp"
#include "strata/framework/graph/join.hpp"
#include "strata/framework/graph/numerical_gradient.hpp"
#include "strata/framework/labels.hpp"
#include "strata/framework/layer.hpp"
#include "strata/framework/loss.hpp"

namespace STRATA_EXPORT strata {

/// What a check does. Its error of an analytic value a and a numeric value n is
///
///   |a - n| / max(|a|, |n|, 1e-3 t, 1e-4 g, 1e-8)
///
/// with t the largest gradient in the tensor and g the largest in the whole check: the last digits of n are
/// noise of about 1e-12 g, so that the relative error of a value that is zero in theory says nothing.
struct GradientCheckOptions {
  double tolerance = 1e-6;
  /// h of (f(x - 2h) - 8 f(x - h) + 8 f(x + h) - f(x + 2h)) / 12h, whose error is of order h^4. A power of
  /// two, so that x + h is exact. Where the result disagrees, there may be a kink (ReLU, max pooling): it is
  /// one, and passes, if h / 16 or h / 256 agrees, which does not reach it; or if the slopes on both sides,
  /// at points up to 2h away, differ and each agrees with what backward says there.
  double step = 0x1p-13;
  bool training = true;
  bool evaluation = true;
  /// If positive: of a larger tensor, only so many elements are checked, drawn at random.
  Index max_elements = 0;
  /// If positive: a tensor of more elements is checked along so many random directions instead.
  Index directions = 0;
  /// Of the output gradient, the elements and the directions.
  std::uint64_t seed = 0;
};

/// One tensor in one mode, with the element (or direction) where the error is largest.
struct GradientCheckRow {
  std::string mode = {};    ///< "training", "evaluation"; "any" for a join or a loss
  std::string tensor = {};  ///< "input" or a parameter's dotted name
  Shape shape = {};
  Index checked = 0;       ///< how many elements or directions
  Index kinks = 0;         ///< how many of them passed as kinks
  std::string where = {};  ///< the index, "(0, 2, 1)", or "direction 3"
  double analytic = 0;     ///< NaN if backward did not write it
  double numeric = 0;
  double error = 0;
  bool passed = false;
};

struct GradientReport {
  std::string subject;
  double tolerance = 0;
  std::vector<GradientCheckRow> rows;

  bool passed() const;
  double max_relative_error() const;
  /// A table, one row a tensor and mode.
  std::string to_string() const;
};

std::ostream& operator<<(std::ostream& stream, const GradientReport& report);

/// Checks the gradients of a layer or network with respect to its input x and to every parameter, frozen ones
/// too, for a random output gradient. Works on copies and leaves the layer as it is; each evaluation starts
/// from the same state, so that dropout draws the same mask. Parameter gradients are NaN before backward.
/// Gradients left by backward_parameters get rows of their own if they differ from those of backward.
/// Throws ArgumentError for options out of range, and what the layer throws.
GradientReport check_gradients(const Layer<double>& layer, const Tensor<double>& x,
                               const GradientCheckOptions& options = {});

/// The same for a graph of several inputs or outputs; its rows are "input 0", "input 1", …
GradientReport check_gradients(const Graph<double>& graph, const std::vector<Tensor<double>>& inputs,
                               const GradientCheckOptions& options = {});

/// Checks the gradient of a join with respect to each input.
GradientReport check_gradients(const Join<double>& join, const std::vector<Tensor<double>>& inputs,
                               const GradientCheckOptions& options = {});

/// Checks the gradient of a loss with respect to the scores.
GradientReport check_gradients(const Loss<double>& loss, const Tensor<double>& scores, const Labels& labels,
                               const GradientCheckOptions& options = {});

/// Checks the gradient of a scalar function, e.g. a loss with its target.
GradientReport check_gradients(const std::function<LossResult<double>(const Tensor<double>&)>& loss,
                               const Tensor<double>& x, const GradientCheckOptions& options = {});

}  // namespace strata
