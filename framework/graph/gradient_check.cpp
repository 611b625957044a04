#include "strata/framework/graph/gradient_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <ostream>

#include "strata/framework/text_table.hpp"

namespace strata {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

using Tensors = std::vector<Tensor<double>>;

// sum((a - b) * weight): what cancels, cancels exactly before anything is added.
double weighted_difference(const Tensors& a, const Tensors& b, const Tensors& weight) {
  double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k)
    for (std::size_t i = 0; i < a[k].size(); ++i)
      sum += (a[k].data()[i] - b[k].data()[i]) * weight[k].data()[i];
  return sum;
}

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
  std::vector<std::size_t> elements = {};       // either these
  std::vector<Tensor<double>> directions = {};  // or these
  std::vector<double> analytic = {};
  std::vector<double> numeric = {};

  std::size_t size() const { return directions.empty() ? elements.size() : directions.size(); }

  double project(const Tensor<double>& gradient, std::size_t i) const {
    if (directions.empty()) return gradient.data()[elements[i]];
    return std::inner_product(gradient.data(), gradient.data() + gradient.size(), directions[i].data(), 0.0);
  }

  void move(const Tensor<double>& from, std::size_t i, double distance) {
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

// What is checked: a function of several tensors, with parameters.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual std::unique_ptr<Subject> clone() const = 0;
  virtual Tensors forward(const Tensors& x) = 0;
  virtual Tensors backward(const Tensors& dy) = 0;
  virtual void backward_parameters(const Tensors& dy) { backward(dy); }
  virtual std::vector<std::pair<std::string, Parameter<double>*>> named_parameters() { return {}; }
  virtual void train(bool /*on*/) {}
  virtual bool has_modes() const { return true; }
};

class Check {
 public:
  Check(const Subject& subject, const Tensors& inputs, const std::string& mode, bool training,
        const GradientCheckOptions& options)
      : options_(options), mode_(mode), inputs_(inputs), subject_(subject.clone()), random_(options.seed) {
    subject_->train(training);
  }

  std::vector<GradientCheckRow> run() {
    const auto run = subject_->clone();
    for (const Tensor<double>& y : run->forward(inputs_)) dout_.push_back(random_.normal<double>(y.shape()));
    fill_gradients(*run);
    const Tensors dx = run->backward(dout_);
    const auto parameters_only = subject_->clone();
    parameters_only->forward(inputs_);
    fill_gradients(*parameters_only);
    parameters_only->backward_parameters(dout_);

    for (std::size_t k = 0; k < inputs_.size(); ++k)
      add_probe(inputs_.size() == 1 ? "input" : "input " + std::to_string(k), inputs_[k], {&dx[k]});
    const auto origin = subject_->named_parameters(), from_backward = run->named_parameters(),
               from_backward_parameters = parameters_only->named_parameters();
    for (std::size_t k = 0; k < origin.size(); ++k)
      add_probe(origin[k].first, origin[k].second->value,
                {&from_backward[k].second->gradient, &from_backward_parameters[k].second->gradient});
    return judge();
  }

 private:
  static void fill_gradients(Subject& subject) {
    for (const auto& [name, parameter] : subject.named_parameters()) parameter->gradient.fill(kNaN);
  }

  // The derivatives along each direction; `gradients` are those to compare with, the second optional.
  void add_probe(const std::string& name, Tensor<double>& origin,
                 std::vector<const Tensor<double>*> gradients) {
    Probe probe{.row = {.mode = mode_, .tensor = name, .shape = origin.shape()}, .origin = &origin};
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
      if (g > 0) one.row.tensor += " (backward_parameters)";
      for (std::size_t i = 0; i < one.size(); ++i) one.analytic.push_back(one.project(*gradients[g], i));
      probes_.push_back(std::move(one));
    }
  }

  double derivative(Probe& probe, std::size_t i, double h) {
    const Tensor<double> saved = *probe.origin;
    const auto at = [&](double distance) {
      probe.move(saved, i, distance);
      return subject_->clone()->forward(inputs_);
    };
    const double inner = weighted_difference(at(h), at(-h), dout_);
    const double outer = weighted_difference(at(2 * h), at(-2 * h), dout_);
    *probe.origin = saved;
    return (8 * inner - outer) / (12 * h);
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
        double n = probe.numeric[i], error = error_of(a, n);
        for (const double h : {options_.step / 16, options_.step / 256}) {
          if (error <= options_.tolerance || std::isnan(a)) break;
          const double closer = derivative(probe, i, h);
          if (error_of(a, closer) < error) error = error_of(a, n = closer);
        }
        if (error <= row.error) continue;
        row.error = error, row.analytic = a, row.numeric = n, row.where = probe.where(i);
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
  std::unique_ptr<Subject> subject_;  // never run itself: its clones are
  Random random_;
  Tensors dout_;
  std::vector<Probe> probes_;
};

class LayerSubject final : public Subject {
 public:
  explicit LayerSubject(std::unique_ptr<Layer<double>> layer) : layer_(std::move(layer)) {}
  std::unique_ptr<Subject> clone() const override { return std::make_unique<LayerSubject>(layer_->clone()); }
  Tensors forward(const Tensors& x) override { return {layer_->forward(x[0])}; }
  Tensors backward(const Tensors& dy) override { return {layer_->backward(dy[0])}; }
  void backward_parameters(const Tensors& dy) override { layer_->backward_parameters(dy[0]); }
  std::vector<std::pair<std::string, Parameter<double>*>> named_parameters() override {
    return layer_->named_parameters();
  }
  void train(bool on) override { layer_->train(on); }

 private:
  std::unique_ptr<Layer<double>> layer_;
};

class GraphSubject final : public Subject {
 public:
  explicit GraphSubject(Graph<double> graph) : graph_(std::move(graph)) {}
  std::unique_ptr<Subject> clone() const override { return std::make_unique<GraphSubject>(graph_); }
  Tensors forward(const Tensors& x) override { return graph_.forward(x); }
  Tensors backward(const Tensors& dy) override { return graph_.backward(dy); }
  void backward_parameters(const Tensors& dy) override { graph_.backward_parameters(dy); }
  std::vector<std::pair<std::string, Parameter<double>*>> named_parameters() override {
    return graph_.named_parameters();
  }
  void train(bool on) override { graph_.train(on); }

 private:
  Graph<double> graph_;
};

class JoinSubject final : public Subject {
 public:
  explicit JoinSubject(std::unique_ptr<Join<double>> join) : join_(std::move(join)) {}
  std::unique_ptr<Subject> clone() const override { return std::make_unique<JoinSubject>(join_->clone()); }
  Tensors forward(const Tensors& x) override {
    shapes_.clear();
    for (const Tensor<double>& tensor : x) shapes_.push_back(tensor.shape());
    return {join_->forward(x)};
  }
  Tensors backward(const Tensors& dy) override { return join_->backward(dy[0], shapes_); }
  bool has_modes() const override { return false; }

 private:
  std::unique_ptr<Join<double>> join_;
  std::vector<Shape> shapes_;
};

using ScalarFunction = std::function<LossResult<double>(const Tensor<double>&)>;

class ScalarSubject final : public Subject {
 public:
  explicit ScalarSubject(ScalarFunction function) : function_(std::move(function)) {}
  std::unique_ptr<Subject> clone() const override { return std::make_unique<ScalarSubject>(function_); }
  Tensors forward(const Tensors& x) override {
    LossResult<double> result = function_(x[0]);
    gradient_ = std::move(result.gradient);
    return {full<double>({1}, result.value)};
  }
  Tensors backward(const Tensors& dy) override { return {Tensor<double>(gradient_ * dy[0](0))}; }
  bool has_modes() const override { return false; }

 private:
  ScalarFunction function_;
  Tensor<double> gradient_;
};

std::string scientific(double value, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*e", digits, value);
  return text;
}

GradientReport check_subject(const Subject& subject, std::string name, const Tensors& inputs,
                             const GradientCheckOptions& options) {
  if (!(options.step > 0) || !std::isfinite(options.step))
    throw ArgumentError("check_gradients: step must be positive, got " + std::to_string(options.step));
  if (!(options.tolerance > 0))
    throw ArgumentError("check_gradients: tolerance must be positive, got " +
                        std::to_string(options.tolerance));
  if (options.max_elements < 0 || options.directions < 0)
    throw ArgumentError("check_gradients: max_elements and directions must not be negative, got " +
                        std::to_string(options.max_elements) + " and " + std::to_string(options.directions));
  if (!options.training && !options.evaluation)
    throw ArgumentError("check_gradients: neither training nor evaluation mode is to be checked");
  GradientReport report{.subject = std::move(name), .tolerance = options.tolerance, .rows = {}};
  const auto run = [&](const std::string& mode, bool training) {
    auto rows = Check(subject, inputs, mode, training, options).run();
    std::move(rows.begin(), rows.end(), std::back_inserter(report.rows));
  };
  if (!subject.has_modes()) {
    run("any", true);
    return report;
  }
  if (options.training) run("training", true);
  if (options.evaluation) run("evaluation", false);
  return report;
}

}  // namespace

GradientReport check_gradients(const Layer<double>& layer, const Tensor<double>& x,
                               const GradientCheckOptions& options) {
  const std::string configuration = layer.options();
  return check_subject(LayerSubject(layer.clone()),
                       layer.label() + (configuration.empty() ? "" : " (" + configuration + ")"), {x},
                       options);
}

GradientReport check_gradients(const Graph<double>& graph, const std::vector<Tensor<double>>& inputs,
                               const GradientCheckOptions& options) {
  return check_subject(GraphSubject(graph), graph.label(), inputs, options);
}

GradientReport check_gradients(const Join<double>& join, const std::vector<Tensor<double>>& inputs,
                               const GradientCheckOptions& options) {
  return check_subject(JoinSubject(join.clone()), join.label(), inputs, options);
}

GradientReport check_gradients(const Loss<double>& loss, const Tensor<double>& scores, const Labels& labels,
                               const GradientCheckOptions& options) {
  return check_gradients([&](const Tensor<double>& x) { return loss(x, labels); }, scores, options);
}

GradientReport check_gradients(const std::function<LossResult<double>(const Tensor<double>&)>& loss,
                               const Tensor<double>& x, const GradientCheckOptions& options) {
  return check_subject(ScalarSubject(loss), "loss", {x}, options);
}

bool GradientReport::passed() const {
  return !rows.empty() && std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row.passed; });
}

double GradientReport::max_relative_error() const {
  double error = 0;
  for (const GradientCheckRow& row : rows) error = std::max(error, row.error);
  return error;
}

std::string GradientReport::to_string() const {
  std::vector<std::vector<std::string>> cells{
      {"mode", "tensor", "shape", "checked", "error", "at", "analytic", "numeric", ""}};
  for (const GradientCheckRow& row : rows)
    cells.push_back({row.mode, row.tensor, strata::to_string(row.shape), std::to_string(row.checked),
                     scientific(row.error, 1), row.where,
                     std::isnan(row.analytic) ? "not written" : scientific(row.analytic, 9),
                     scientific(row.numeric, 9), row.passed ? "ok" : "FAIL"});
  const std::string rows_text =
      table(cells, {Align::left, Align::left, Align::left, Align::right, Align::right, Align::left,
                    Align::right, Align::right, Align::left});
  return "Gradients of " + subject + "\n" + rows_text + (passed() ? "passed" : "FAILED") +
         ": largest relative error " + scientific(max_relative_error(), 1) + ", tolerance " +
         scientific(tolerance, 0) + "\n";
}

std::ostream& operator<<(std::ostream& stream, const GradientReport& report) {
  return stream << report.to_string();
}

namespace {

// Calls accept(i, f(x + h e_i), f(x - h e_i)) for every element of x.
template <class Function, class Accept>
void central_differences(const Function& f, Tensor<double> x, double h, const Accept& accept) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double saved = x.data()[i];
    x.data()[i] = saved + h;
    const auto above = f(x);
    x.data()[i] = saved - h;
    const auto below = f(x);
    x.data()[i] = saved;
    accept(i, above, below);
  }
}

}  // namespace

Tensor<double> numerical_gradient(const std::function<double(const Tensor<double>&)>& f,
                                  const Tensor<double>& x, double h) {
  auto gradient = empty<double>(x.shape());
  central_differences(f, x, h, [&](std::size_t i, double above, double below) {
    gradient.data()[i] = (above - below) / (2 * h);
  });
  return gradient;
}

Tensor<double> numerical_gradient(const std::function<Tensor<double>(const Tensor<double>&)>& f,
                                  const Tensor<double>& x, const Tensor<double>& dout, double h) {
  auto gradient = empty<double>(x.shape());
  central_differences(f, x, h, [&](std::size_t i, const Tensor<double>& above, const Tensor<double>& below) {
    if (above.shape() != dout.shape())
      throw ShapeError("numerical_gradient: expected an output gradient of shape " +
                       to_string(above.shape()) + ", got " + to_string(dout.shape()));
    gradient.data()[i] = weighted_difference({above}, {below}, {dout}) / (2 * h);
  });
  return gradient;
}

double relative_error(const Tensor<double>& a, const Tensor<double>& b) {
  if (a.shape() != b.shape())
    throw ShapeError("relative_error: expected two tensors of one shape, got " + to_string(a.shape()) +
                     " and " + to_string(b.shape()));
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double p = a.data()[i], q = b.data()[i];
    const double error = std::abs(p - q) / std::max(1e-8, std::abs(p) + std::abs(q));
    worst = std::max(worst, std::isnan(error) ? kInfinity : error);
  }
  return worst;
}

}  // namespace strata
