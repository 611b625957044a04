#include "strata/framework/graph/gradient_check.hpp"

#include <cmath>
#include <iterator>

#include "strata/framework/error.hpp"
#include "strata/framework/graph/gradient_probes.hpp"

namespace strata {
namespace {

using detail::GradientSubject;
using detail::probe_gradients;
using detail::Tensors;

class LayerSubject final : public GradientSubject {
 public:
  explicit LayerSubject(std::unique_ptr<Layer<double>> layer) : layer_(std::move(layer)) {}
  std::unique_ptr<GradientSubject> clone() const override {
    return std::make_unique<LayerSubject>(layer_->clone());
  }
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

class GraphSubject final : public GradientSubject {
 public:
  explicit GraphSubject(Graph<double> graph) : graph_(std::move(graph)) {}
  std::unique_ptr<GradientSubject> clone() const override { return std::make_unique<GraphSubject>(graph_); }
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

class JoinSubject final : public GradientSubject {
 public:
  explicit JoinSubject(std::unique_ptr<Join<double>> join) : join_(std::move(join)) {}
  std::unique_ptr<GradientSubject> clone() const override {
    return std::make_unique<JoinSubject>(join_->clone());
  }
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

class ScalarSubject final : public GradientSubject {
 public:
  explicit ScalarSubject(ScalarFunction function) : function_(std::move(function)) {}
  std::unique_ptr<GradientSubject> clone() const override {
    return std::make_unique<ScalarSubject>(function_);
  }
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

GradientReport check_subject(const GradientSubject& subject, std::string name, const Tensors& inputs,
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
    auto rows = probe_gradients(subject, inputs, mode, training, options);
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

}  // namespace strata
