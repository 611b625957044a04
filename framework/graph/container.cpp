#include "strata/framework/graph/container.hpp"

#include <algorithm>

#include "strata/framework/graph/plan.hpp"

namespace strata {
namespace {

// What a forward leaves: the way it went, and what each step left.
template <class T>
struct Pass {
  std::shared_ptr<const TrainingPlan<T>> plan;
  std::vector<Record> records;
};

}  // namespace

template <class T>
Container<T>::Container() = default;
template <class T>
Container<T>::~Container() = default;
template <class T>
Container<T>::Container(const Container& other) : Layer<T>(other) {}
template <class T>
Container<T>::Container(Container&& other) noexcept : Layer<T>(std::move(other)) {}
template <class T>
Container<T>& Container<T>::operator=(const Container& other) {
  Layer<T>::operator=(other);
  plan_ = nullptr;
  return *this;
}
template <class T>
Container<T>& Container<T>::operator=(Container&& other) noexcept {
  Layer<T>::operator=(std::move(other));
  plan_ = nullptr;
  return *this;
}

template <class T>
FlatNetwork<T> Container<T>::flat(std::size_t inputs) const {
  FlatNetwork<T> network{
      .inputs = inputs, .nodes = {}, .outputs = {}, .looked_at = {{this, this->identity()}}};
  std::vector<ValueIndex> values;
  for (std::size_t i = 0; i < inputs; ++i) values.push_back(i);
  network.outputs = append_to(network, values);
  return network;
}

template <class T>
std::uint64_t Container<T>::multiply_adds(const Shape& input) const {
  std::uint64_t total = 0;
  for (const auto& step : this->steps(input))
    if (step.layer) total += step.layer->multiply_adds(step.input);
  return total;
}

template <class T>
std::shared_ptr<const TrainingPlan<T>> Container<T>::plan_for(std::vector<Shape> inputs) {
  PlanKey key = PlanKey::now(std::move(inputs));
  const std::lock_guard lock(mutex_);
  if (!plan_ || !(plan_->key() == key) || !plan_->network().is_current()) {
    const std::size_t count = key.inputs.size();
    plan_ = std::make_shared<const TrainingPlan<T>>(flat(count), std::move(key));
  }
  return plan_;
}

template <class T>
std::vector<Tensor<T>> Container<T>::run_forward(std::vector<Tensor<T>> x, Record& record) {
  auto pass = std::make_shared<Pass<T>>();
  pass->plan = plan_for(detail::shapes_of(x));
  pass->records.resize(pass->plan->step_count());
  std::vector<Tensor<T>> y = pass->plan->forward(std::move(x), pass->records);
  record.keep(std::move(pass));
  return y;
}

template <class T>
std::vector<Tensor<T>> Container<T>::run_backward(std::vector<Tensor<T>> dy, Record& record,
                                                  bool parameters_only) {
  const auto pass = record.take<std::shared_ptr<Pass<T>>>();
  const FlatNetwork<T>& network = pass->plan->network();
  if (network.looked_at.front().first != this)  // where it was then, there may be nothing now
    throw StateError(this->label() +
                     ": backward needs a forward before it: the network has been moved since");
  if (!network.is_current())
    throw StateError(this->label() +
                     ": backward needs a forward before it: a layer within has been changed since");
  return pass->plan->backward(std::move(dy), pass->records, parameters_only);
}

template <class T>
Tensor<T> Container<T>::do_forward(Tensor<T> x, Record& record) {
  return std::move(run_forward(detail::one(std::move(x)), record)[0]);
}

template <class T>
Tensor<T> Container<T>::do_backward(Tensor<T> dy, Record& record) {
  return std::move(run_backward(detail::one(std::move(dy)), record, /*parameters_only=*/false)[0]);
}

template <class T>
void Container<T>::do_backward_parameters(Tensor<T> dy, Record& record) {
  run_backward(detail::one(std::move(dy)), record, /*parameters_only=*/true);
}

template <class T>
Tensor<T> Container<T>::do_infer(Tensor<T> x) const {
  return std::move(infer_several(detail::one(std::move(x)))[0]);
}

template <class T>
std::vector<Tensor<T>> Container<T>::infer_several(std::vector<Tensor<T>> x) const {
  PlanKey key = PlanKey::now(detail::shapes_of(x));
  key.fuse = false;
  Prepared nothing;
  return InferencePlan<T>(flat(x.size()), std::move(key), nothing).infer(std::move(x));
}

template <class T>
std::vector<Tensor<T>> Container<T>::forward_several(std::vector<Tensor<T>> x, Record& record) {
  record = Record();
  this->check_tensors();
  std::vector<Tensor<T>> y = run_forward(std::move(x), record);
  record.owner_ = this->identity();
  return y;
}

template <class T>
std::vector<Tensor<T>> Container<T>::backward_several(std::vector<Tensor<T>> dy, Record& record,
                                                      bool parameters_only,
                                                      const std::vector<std::string>& outputs) {
  this->check_value();
  if (record.owner_ != this->identity())
    throw StateError(this->label() + ": backward needs a forward before it");
  if (dy.size() != outputs.size())
    throw ShapeError(this->label() + ": expected " + std::to_string(outputs.size()) + " output gradient" +
                     (outputs.size() == 1 ? "" : "s") + ", got " + std::to_string(dy.size()));
  const auto& plan = *record.template kept<std::shared_ptr<Pass<T>>>()->plan;
  for (std::size_t k = 0; k < dy.size(); ++k)
    if (dy[k].shape() != plan.output_shape(k))
      throw ShapeError(this->label() + ": expected a gradient of output '" + outputs[k] + "' of shape " +
                       to_string(plan.output_shape(k)) + ", got " + to_string(dy[k].shape()));
  this->check_tensors();
  record.owner_ = 0;
  return run_backward(std::move(dy), record, parameters_only);
}

template <class T>
std::string Container<T>::path_of(const std::string& name) const {
  return this->path().empty() ? name : this->path() + "." + name;
}

template <class T>
void Container<T>::take_in(const std::unique_ptr<Layer<T>>& layer, const std::string& name) const {
  if (!layer) throw GraphError(this->label() + ": layer '" + name + "' is null");
  layer->check_tensors();
  layer->set_path(path_of(name));
}

template <class T>
void Container<T>::exchange(std::unique_ptr<Layer<T>>& layer, std::unique_ptr<Layer<T>> by,
                            const std::string& name) {
  take_in(by, name);
  by->train(layer->training());
  layer = std::move(by);
  structure_changed();
}

template <class T>
void Container<T>::check_name(const std::string& name, const char* noun,
                              const std::vector<std::string>& others) const {
  this->check_value();
  if (name.empty() || name.front() == '.' || name.back() == '.')
    throw GraphError(this->label() + ": '" + name + "' cannot name a " + noun);
  if (std::find(others.begin(), others.end(), name) != others.end())
    throw GraphError(this->label() + ": there are two " + noun + "s named '" + name + "'");
}

template class Container<float>;
template class Container<double>;

}  // namespace strata
