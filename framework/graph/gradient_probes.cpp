#include "strata/framework/graph/gradient_probes.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

#include "strata/framework/error.hpp"

namespace strata::detail {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double largest(const std::vector<double>& values) {
  double result = 0;
  for (const double value : values)
    if (std::isfinite(value)) result = std::max(result, std::abs(value));
  return result;
}

std::string index_text(std::size_t flat, const Shape& shape) {
  Shape index(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0; flat /= shape[axis]) index[axis] = flat % shape[axis];
  return to_string(index);
}

// What is measured of one tensor: derivatives along elements, or along dense directions.
struct Probe {
  GradientCheckRow row;
  Tensor<double>* origin;                       // the tensor that is moved
  std::size_t tensor;                           // its place among all gradients
  bool parameters_only = false;                 // whether they come from backward_parameters
  std::vector<std::size_t> elements = {};       // either these
  std::vector<Tensor<double>> directions = {};  // or these
  std::vector<double> analytic = {};
  std::vector<double> numeric = {};

  std::size_t size() const { return directions.empty() ? elements.size() : directions.size(); }

  double project(const Tensor<double>& gradient, std::size_t i) const {
    if (directions.empty()) return gradient.data()[elements[i]];
    return std::inner_product(gradient.data(), gradient.data() + gradient.size(), directions[i].data(), 0.0);
  }

  void move(const Tensor<double>& from, std::size_t i, double distance) const {
    if (directions.empty()) {
      origin->data()[elements[i]] = from.data()[elements[i]] + distance;
      return;
    }
    for (std::size_t k = 0; k < from.size(); ++k)
      origin->data()[k] = from.data()[k] + distance * directions[i].data()[k];
  }

  std::string where(std::size_t i) const {
    return directions.empty() ? index_text(elements[i], row.shape) : "direction " + std::to_string(i);
  }
};

class Check {
 public:
  Check(const GradientSubject& subject, const Tensors& inputs, const std::string& mode, bool training,
        const GradientCheckOptions& options)
      : options_(options), mode_(mode), inputs_(inputs), subject_(subject.clone()), random_(options.seed) {
    subject_->train(training);
  }

  std::vector<GradientCheckRow> run() {
    for (const Tensor<double>& y : subject_->clone()->forward(inputs_))
      dout_.push_back(random_.normal<double>(y.shape()));
    const Tensors all = gradients(false), of_parameters = gradients(true);
    const std::size_t inputs = inputs_.size();
    for (std::size_t k = 0; k < inputs; ++k)
      add_probe(inputs == 1 ? "input" : "input " + std::to_string(k), inputs_[k], k, {&all[k]});
    const auto origin = subject_->named_parameters();
    for (std::size_t k = 0; k < origin.size(); ++k)
      add_probe(origin[k].first, origin[k].second->value, inputs + k,
                {&all[inputs + k], &of_parameters[inputs + k]});
    return judge();
  }

 private:
  // What backward says at the present place: of the inputs (of backward_parameters: empty ones), then of the
  // parameters.
  Tensors gradients(bool parameters_only) const {
    const auto run = subject_->clone();
    run->forward(inputs_);
    const auto parameters = run->named_parameters();
    for (const auto& [name, parameter] : parameters) parameter->gradient.fill(kNaN);
    Tensors all(inputs_.size());
    if (parameters_only)
      run->backward_parameters(dout_);
    else
      all = run->backward(dout_);
    for (const auto& [name, parameter] : parameters) all.push_back(std::move(parameter->gradient));
    return all;
  }

  // The derivatives along each direction; `gradients` are those to compare with, the second optional.
  void add_probe(const std::string& name, Tensor<double>& origin, std::size_t tensor,
                 std::vector<const Tensor<double>*> gradients) {
    Probe probe{
        .row = {.mode = mode_, .tensor = name, .shape = origin.shape()}, .origin = &origin, .tensor = tensor};
    for (const Tensor<double>* gradient : gradients)
      if (gradient->shape() != origin.shape())
        throw ShapeError("check_gradients: the gradient of '" + name + "' has shape " +
                         strata::to_string(gradient->shape()) + ", its value " +
                         strata::to_string(origin.shape()));
    const auto count = static_cast<Index>(origin.size());
    if (options_.directions > 0 && count > options_.directions) {
      for (Index i = 0; i < options_.directions; ++i)
        probe.directions.push_back(random_.normal<double>(origin.shape()));
    } else {
      for (const Index i : random_.permutation(count)) probe.elements.push_back(static_cast<std::size_t>(i));
      if (options_.max_elements > 0 && count > options_.max_elements)
        probe.elements.resize(static_cast<std::size_t>(options_.max_elements));
    }
    for (std::size_t i = 0; i < probe.size(); ++i)
      probe.numeric.push_back(derivative(probe, i, options_.step));
    for (std::size_t g = 0; g < gradients.size(); ++g) {
      if (g > 0 && std::equal(gradients[0]->begin(), gradients[0]->end(), gradients[g]->begin())) continue;
      Probe one = probe;
      one.parameters_only = g > 0;
      if (g > 0) one.row.tensor += " (backward_parameters)";
      for (std::size_t i = 0; i < one.size(); ++i) one.analytic.push_back(one.project(*gradients[g], i));
      probes_.push_back(std::move(one));
    }
  }

  // sum((a - b) * dout) over all outputs.
  double difference(const Tensors& a, const Tensors& b) const {
    double sum = 0;
    for (std::size_t k = 0; k < a.size(); ++k) sum += weighted_difference(a[k], b[k], dout_[k]);
    return sum;
  }

  double derivative(const Probe& probe, std::size_t i, double h) {
    const Tensor<double> saved = *probe.origin;
    const auto at = [&](double distance) {
      probe.move(saved, i, distance);
      return subject_->clone()->forward(inputs_);
    };
    const double inner = difference(at(h), at(-h));
    const double outer = difference(at(2 * h), at(-2 * h));
    *probe.origin = saved;
    return (8 * inner - outer) / (12 * h);
  }

  struct Comparison {
    double analytic, numeric, error;
  };

  // At a point beside the present one, the function is smooth if the kink is at the present one: there the
  // gradient must agree with differences that do not reach the kink. Tried from far to near, because there
  // may be more kinks.
  template <class ErrorOf>
  Comparison beside(const Probe& probe, std::size_t i, double side, const ErrorOf& error_of) {
    const Tensor<double> saved = *probe.origin;
    Comparison best{kNaN, kNaN, kInfinity};
    for (double shift = 2 * options_.step; shift >= options_.step / 32; shift /= 4) {
      probe.move(saved, i, side * shift);
      const double a = probe.project(gradients(probe.parameters_only)[probe.tensor], i);
      const double n = derivative(probe, i, shift / 8);
      *probe.origin = saved;
      if (error_of(a, n) < best.error) best = {a, n, error_of(a, n)};
      if (best.error <= options_.tolerance) break;
    }
    return best;
  }

  // Whether what failed at element i is a kink: the slopes on its two sides differ, and each is what backward
  // says on that side. Which of them backward takes at the kink itself is its choice.
  template <class ErrorOf>
  bool is_kink(const Probe& probe, std::size_t i, const ErrorOf& error_of, Comparison& worst) {
    const Comparison left = beside(probe, i, -1, error_of);
    if (left.error > options_.tolerance) return false;
    const Comparison right = beside(probe, i, 1, error_of);
    if (right.error > options_.tolerance || error_of(left.numeric, right.numeric) <= options_.tolerance)
      return false;
    worst = left.error > right.error ? left : right;
    return true;
  }

  std::vector<GradientCheckRow> judge() {
    double largest_of_all = 0;
    for (const Probe& probe : probes_)
      largest_of_all = std::max({largest_of_all, largest(probe.analytic), largest(probe.numeric)});
    std::vector<GradientCheckRow> rows;
    for (Probe& probe : probes_) {
      const double floor = std::max(
          {1e-3 * largest(probe.analytic), 1e-3 * largest(probe.numeric), 1e-4 * largest_of_all, 1e-8});
      const auto error_of = [&](double a, double n) {
        const double error = std::abs(a - n) / std::max({std::abs(a), std::abs(n), floor});
        return std::isfinite(error) ? error : kInfinity;
      };
      GradientCheckRow& row = probe.row;
      row.checked = static_cast<Index>(probe.size());
      row.error = -1;
      for (std::size_t i = 0; i < probe.size(); ++i) {
        const double a = probe.analytic[i];
        Comparison found{a, probe.numeric[i], error_of(a, probe.numeric[i])};
        if (found.error > options_.tolerance && std::isfinite(a)) {
          for (const double h : {options_.step / 16, options_.step / 256}) {
            const double n = derivative(probe, i, h);
            if (error_of(a, n) < found.error) found = {a, n, error_of(a, n)};
            if (found.error <= options_.tolerance) break;
          }
          row.kinks += found.error <= options_.tolerance || is_kink(probe, i, error_of, found);
        }
        if (found.error <= row.error) continue;
        row.error = found.error, row.analytic = found.analytic, row.numeric = found.numeric;
        row.where = probe.where(i);
      }
      row.error = std::max(row.error, 0.0);
      row.passed = row.error <= options_.tolerance;
      rows.push_back(std::move(row));
    }
    return rows;
  }

  GradientCheckOptions options_;
  std::string mode_;
  Tensors inputs_;
  std::unique_ptr<GradientSubject> subject_;  // never run itself: its clones are
  Random random_;
  Tensors dout_;
  std::vector<Probe> probes_;
};

}  // namespace

std::vector<GradientCheckRow> probe_gradients(const GradientSubject& subject, const Tensors& inputs,
                                              const std::string& mode, bool training,
                                              const GradientCheckOptions& options) {
  return Check(subject, inputs, mode, training, options).run();
}

}  // namespace strata::detail
