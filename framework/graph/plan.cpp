#include "strata/framework/graph/plan.hpp"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "strata/framework/runtime/switches.hpp"

namespace strata {
namespace {

template <class T>
std::vector<Tensor<T>> take_all(std::vector<Shared<T>> values) {
  std::vector<Tensor<T>> tensors;
  for (Shared<T>& value : values) tensors.push_back(std::move(value).take());
  return tensors;
}

template <class T>
class LayerTraining final : public TrainingStep<T> {
 public:
  explicit LayerTraining(Layer<T>& layer) : layer_(layer) {}

  Tensor<T> forward(std::vector<Shared<T>> x, Record& record) const override {
    return layer_.forward(std::move(x[0]).take(), record);
  }
  std::vector<Shared<T>> backward(std::vector<Shared<T>> dy, Record& record, bool wants_dx) const override {
    Tensor<T> gradient = total(std::move(dy)).take();
    if (wants_dx) return {layer_.backward(std::move(gradient), record)};
    layer_.backward_parameters(std::move(gradient), record);
    return {};
  }

 private:
  Layer<T>& layer_;
};

template <class T>
class JoinTraining final : public TrainingStep<T> {
 public:
  JoinTraining(const Join<T>& join, std::vector<Shape> inputs) : join_(join), inputs_(std::move(inputs)) {}

  Tensor<T> forward(std::vector<Shared<T>> x, Record&) const override {
    return join_.forward(take_all(std::move(x)));
  }
  std::vector<Shared<T>> backward(std::vector<Shared<T>> dy, Record&, bool wants_dx) const override {
    std::vector<Shared<T>> dx;
    if (!wants_dx) return dx;
    for (Tensor<T>& gradient : join_.backward(total(std::move(dy)).take(), inputs_))
      dx.emplace_back(std::move(gradient));
    return dx;
  }

 private:
  const Join<T>& join_;
  std::vector<Shape> inputs_;
};

template <class T>
class SingleInference final : public InferenceStep<T> {
 public:
  explicit SingleInference(const Node<T>& node) : layer_(node.layer), join_(node.join) {}

  Tensor<T> infer(std::vector<Shared<T>> x) const override {
    return layer_ ? layer_->infer(std::move(x[0]).take()) : join_->forward(take_all(std::move(x)));
  }

 private:
  const Layer<T>* layer_;
  const Join<T>* join_;
};

template <class T>
std::unique_ptr<TrainingStep<T>> single_training(const Node<T>& node) {
  if (node.layer) return std::make_unique<LayerTraining<T>>(*node.layer);
  return std::make_unique<JoinTraining<T>>(*node.join, node.inputs);
}

// Of a layer that stands at several places, the gradients that the places left so far.
template <class T>
class GradientSums {
 public:
  /// Around each backward of the layers.
  template <class Backward>
  void add(const std::vector<Layer<T>*>& layers, const Backward& backward) {
    std::vector<std::pair<Parameter<T>*, Tensor<T>>> earlier;
    for (Layer<T>* layer : layers)
      if (!seen_.insert(layer).second)
        for (Parameter<T>* parameter : layer->parameters())
          earlier.emplace_back(parameter, parameter->gradient);
    backward();
    for (auto& [parameter, gradient] : earlier) add_to(parameter->gradient, gradient);
  }

 private:
  std::unordered_set<Layer<T>*> seen_;
};

}  // namespace

PlanKey PlanKey::now(std::vector<Shape> inputs) {
  return {std::move(inputs), fusion() && !uses_reference() && !FiniteChecks::active(),
          strata::instruction_set()};
}

template <class T, class StepType>
template <class Fuse, class Single>
Plan<T, StepType>::Plan(FlatNetwork<T> network, PlanKey key, const Fuse& fuse, const Single& single)
    : key_(std::move(key)), network_(std::move(network)) {
  network_.set_shapes(key_.inputs);
  shapes_ = key_.inputs;
  for (const Node<T>& node : network_.nodes) shapes_.push_back(node.output);
  uses_ = network_.uses();

  // By value: the only node that takes it.
  std::vector<std::size_t> consumer(shapes_.size(), network_.nodes.size());
  for (std::size_t i = 0; i < network_.nodes.size(); ++i)
    for (const ValueIndex source : network_.nodes[i].sources)
      if (uses_[source] == 1) consumer[source] = i;
  std::vector<bool> taken(network_.nodes.size());
  for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
    if (taken[i]) continue;
    const auto stretch = stretch_from(i, consumer, taken);
    auto step = key_.fuse ? fuse(Stretch<T>(stretch), i) : nullptr;
    if (!step) step = single(network_.nodes[i]);
    PlannedStep planned{std::move(step), {i}, network_.nodes[i].sources, network_.inputs + i};
    taken[i] = true;
    for (std::size_t k = 1; k < planned.step->size(); ++k) {
      const auto node = static_cast<std::size_t>(stretch[k] - network_.nodes.data());
      for (const ValueIndex source : network_.nodes[node].sources)
        if (source != planned.output) planned.inputs.push_back(source);
      planned.nodes.push_back(node);
      planned.output = network_.inputs + node;
      taken[node] = true;
    }
    steps_.push_back(std::move(planned));
  }
  // What it takes besides the first input has been made by the time of its last node.
  std::sort(steps_.begin(), steps_.end(),
            [](const PlannedStep& a, const PlannedStep& b) { return a.output < b.output; });
  choose_layouts();
}

template <class T, class StepType>
std::vector<const Node<T>*> Plan<T, StepType>::stretch_from(std::size_t first,
                                                            const std::vector<std::size_t>& consumer,
                                                            const std::vector<bool>& taken) const {
  std::vector<const Node<T>*> stretch;
  std::unordered_set<const Layer<T>*> layers;  // each once: what is fused keeps one gradient for each
  for (std::size_t i = first; i < network_.nodes.size() && !taken[i]; i = consumer[network_.inputs + i]) {
    const Node<T>& node = network_.nodes[i];
    if (node.layer && !layers.insert(node.layer).second) break;
    stretch.push_back(&node);
  }
  return stretch;
}

// Of pixels are all values of which no one who makes or takes them needs planes.
template <class T, class StepType>
void Plan<T, StepType>::choose_layouts() {
  std::vector<bool> pixels(shapes_.size(), true);
  bool changed = true;
  const auto needs_planes = [&](ValueIndex value) {
    changed = changed || pixels[value];
    pixels[value] = false;
  };
  for (ValueIndex i = 0; i < network_.inputs; ++i) needs_planes(i);
  for (const ValueIndex i : network_.outputs) needs_planes(i);
  for (const PlannedStep& planned : steps_) {
    const Step::Pixels may = planned.step->pixels();
    for (std::size_t k = 0; k < planned.inputs.size(); ++k)
      if (k < may.first_as_y && !(k == 0 && may.x)) needs_planes(planned.inputs[k]);
    if (!may.y) needs_planes(planned.output);
  }
  while (std::exchange(changed, false))
    for (const PlannedStep& planned : steps_) {
      std::vector<ValueIndex> alike{planned.output};
      for (std::size_t k = planned.step->pixels().first_as_y; k < planned.inputs.size(); ++k)
        alike.push_back(planned.inputs[k]);
      if (!std::all_of(alike.begin(), alike.end(), [&](ValueIndex value) { return pixels[value]; }))
        for (const ValueIndex value : alike) needs_planes(value);
    }
  const auto layout = [&](ValueIndex value) {
    return pixels[value] ? ImageLayout::pixels : ImageLayout::planes;
  };
  for (const PlannedStep& planned : steps_)
    planned.step->settle({layout(planned.inputs[0]), layout(planned.output)});
}

template <class T, class StepType>
template <class Run>
std::vector<Tensor<T>> Plan<T, StepType>::run_steps(std::vector<Tensor<T>> x, const Run& run) const {
  std::vector<Shared<T>> values(shapes_.size());
  std::vector<std::size_t> uses = uses_;
  for (std::size_t i = 0; i < x.size(); ++i) values[i] = std::move(x[i]);
  // The last to take a value gets its memory, so that nothing is kept that no one will read.
  const auto take = [&](ValueIndex i) { return --uses[i] == 0 ? std::move(values[i]) : values[i]; };
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const PlannedStep& planned = steps_[i];
    std::vector<Shared<T>> inputs;
    inputs.reserve(planned.inputs.size());
    for (const ValueIndex value : planned.inputs) inputs.push_back(take(value));
    values[planned.output] = run(*planned.step, std::move(inputs), i);
  }
  std::vector<Tensor<T>> y;
  for (const ValueIndex value : network_.outputs) y.push_back(take(value).take());
  return y;
}

template <class T>
TrainingPlan<T>::TrainingPlan(FlatNetwork<T> network, PlanKey key)
    : Plan<T, TrainingStep<T>>(
          std::move(network), std::move(key),
          [](Stretch<T> nodes, std::size_t) { return fuse_training<T>(nodes); }, single_training<T>) {
  std::map<const Layer<T>*, std::size_t> places;
  for (const Node<T>& node : this->network_.nodes)
    if (node.layer) ++places[node.layer];
  repeated_.resize(this->steps_.size());
  if (std::all_of(places.begin(), places.end(), [](const auto& layer) { return layer.second == 1; })) return;
  for (std::size_t i = 0; i < this->steps_.size(); ++i)
    for (const std::size_t k : this->steps_[i].nodes) {
      Layer<T>* layer = this->network_.nodes[k].layer;
      if (layer && places[layer] > 1) repeated_[i].push_back(layer);
    }
}

template <class T>
std::vector<Tensor<T>> TrainingPlan<T>::forward(std::vector<Tensor<T>> x,
                                                std::vector<Record>& records) const {
  return this->run_steps(std::move(x),
                         [&](const TrainingStep<T>& step, std::vector<Shared<T>> inputs, std::size_t i) {
                           return step.forward(std::move(inputs), records[i]);
                         });
}

template <class T>
std::vector<Tensor<T>> TrainingPlan<T>::backward(std::vector<Tensor<T>> dy, std::vector<Record>& records,
                                                 bool parameters_only) const {
  const FlatNetwork<T>& network = this->network_;
  // To be added: two at most of each value, which a step may add as it reads them.
  std::vector<std::vector<Shared<T>>> gradients(this->shapes_.size());
  const auto give = [&](ValueIndex i, Shared<T> gradient) {
    if (gradients[i].size() == 2) gradients[i].assign(1, total(std::move(gradients[i])));
    gradients[i].push_back(std::move(gradient));
  };
  const auto is_needed = [&](ValueIndex value) { return !parameters_only || value >= network.inputs; };

  for (std::size_t k = 0; k < dy.size(); ++k) give(network.outputs[k], std::move(dy[k]));
  GradientSums<T> sums;
  for (std::size_t i = this->steps_.size(); i-- > 0;) {
    const auto& planned = this->steps_[i];
    const bool wants_dx = std::any_of(planned.inputs.begin(), planned.inputs.end(), is_needed);
    std::vector<Shared<T>> dx;
    const auto backward = [&] {
      dx = planned.step->backward(std::move(gradients[planned.output]), records[i], wants_dx);
    };
    repeated_[i].empty() ? backward() : sums.add(repeated_[i], backward);
    if (!wants_dx) continue;
    for (std::size_t k = 0; k < dx.size(); ++k)
      if (is_needed(planned.inputs[k])) give(planned.inputs[k], std::move(dx[k]));
  }
  std::vector<Tensor<T>> dx;
  if (!parameters_only)
    for (ValueIndex i = 0; i < network.inputs; ++i) dx.push_back(total(std::move(gradients[i])).take());
  return dx;
}

template <class T>
InferencePlan<T>::InferencePlan(FlatNetwork<T> network, PlanKey key, Prepared& prepared)
    : Plan<T, InferenceStep<T>>(
          std::move(network), std::move(key),
          [&](Stretch<T> nodes, std::size_t first) { return fuse_inference<T>(nodes, first, prepared); },
          [](const Node<T>& node) -> std::unique_ptr<InferenceStep<T>> {
            return std::make_unique<SingleInference<T>>(node);
          }) {}

template <class T>
std::vector<Tensor<T>> InferencePlan<T>::infer(std::vector<Tensor<T>> x) const {
  return this->run_steps(std::move(x), [](const InferenceStep<T>& step, std::vector<Shared<T>> inputs,
                                          std::size_t) { return step.infer(std::move(inputs)); });
}

template class TrainingPlan<float>;
template class TrainingPlan<double>;
template class InferencePlan<float>;
template class InferencePlan<double>;

}  // namespace strata
