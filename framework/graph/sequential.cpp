#include "strata/framework/graph/sequential.hpp"

#include <algorithm>

#include "strata/framework/graph/flat_network.hpp"

namespace strata {

template <class T>
Sequential<T>::Sequential() = default;
template <class T>
Sequential<T>::Sequential(Sequential&&) noexcept = default;
template <class T>
Sequential<T>::~Sequential() = default;

template <class T>
Sequential<T>::Sequential(const Sequential& other) : Container<T>(other) {
  for (const Entry& entry : other.layers_) layers_.push_back({entry.name, entry.layer->clone()});
}

template <class T>
Sequential<T>& Sequential<T>::operator=(const Sequential& other) {
  return *this = Sequential(other);
}

template <class T>
Sequential<T>& Sequential<T>::operator=(Sequential&& other) {
  Sequential taken(std::move(other));  // which may be this network, or a part of it
  Container<T>::operator=(std::move(taken));
  layers_.swap(taken.layers_);
  this->settle_in();
  return *this;
}

template <class T>
Sequential<T>& Sequential<T>::add(std::string name, std::unique_ptr<Layer<T>> layer) {
  std::vector<std::string> names;
  for (const Entry& entry : layers_) names.push_back(entry.name);
  this->check_name(name, "layer", names);
  this->take_in(layer, name);
  layers_.push_back({std::move(name), std::move(layer)});
  this->structure_changed();
  return *this;
}

template <class T>
Sequential<T>& Sequential<T>::replace(const std::string& name, std::unique_ptr<Layer<T>> layer) {
  this->check_value();
  for (Entry& entry : layers_) {
    if (entry.name != name) continue;
    this->exchange(entry.layer, std::move(layer), name);
    return *this;
  }
  throw GraphError(this->label() + ": has no layer '" + name + "' to replace");
}

template <class T>
Layer<T>& Sequential<T>::operator[](Index i) {
  this->check_value();
  if (i < 0 || i >= size())
    throw GraphError(this->label() + ": has " + std::to_string(size()) + " layers, none has the number " +
                     std::to_string(i));
  return *layers_[static_cast<std::size_t>(i)].layer;
}

template <class T>
Shape Sequential<T>::output_shape(const Shape& input) const {
  this->check_value();
  Shape shape = input;
  for (const Entry& entry : layers_) shape = entry.layer->output_shape(shape);
  return shape;
}

template <class T>
std::vector<typename Layer<T>::Step> Sequential<T>::steps(const Shape& input) const {
  std::vector<typename Layer<T>::Step> all;
  Shape shape = input;
  for (const Entry& entry : layers_) {
    Shape output = entry.layer->output_shape(shape);
    all.push_back({entry.name, entry.layer->type(), entry.layer.get(), std::move(shape), output});
    shape = std::move(output);
  }
  return all;
}

template <class T>
bool Sequential<T>::is_per_sample() const {
  return std::all_of(layers_.begin(), layers_.end(),
                     [](const Entry& entry) { return entry.layer->is_per_sample(); });
}

template <class T>
std::vector<typename Layer<T>::Child> Sequential<T>::children() {
  std::vector<typename Layer<T>::Child> all;
  for (const Entry& entry : layers_) all.push_back({entry.name, entry.layer.get()});
  return all;
}

template <class T>
std::vector<std::size_t> Sequential<T>::append_to(FlatNetwork<T>& network,
                                                  const std::vector<std::size_t>& inputs) const {
  if (inputs.size() != 1)
    throw ShapeError(this->label() + ": expected 1 input tensor, got " + std::to_string(inputs.size()));
  ValueIndex value = inputs[0];
  for (const Entry& entry : layers_) value = network.append(*entry.layer, value);
  return {value};
}

template class Sequential<float>;
template class Sequential<double>;

}  // namespace strata
