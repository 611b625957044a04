#include "strata/framework/graph/sequential.hpp"

#include <algorithm>

#include "strata/framework/graph/inference_parts.hpp"

namespace strata {

template <class T>
Sequential<T>::Sequential() = default;
template <class T>
Sequential<T>::Sequential(Sequential&&) noexcept = default;
template <class T>
Sequential<T>& Sequential<T>::operator=(Sequential&&) noexcept = default;
template <class T>
Sequential<T>::~Sequential() = default;

template <class T>
Sequential<T>::Sequential(const Sequential& other) : Layer<T>(other) {
  for (const Entry& entry : other.layers_) layers_.push_back({entry.name, entry.layer->clone()});
  connect(&other.chain_);
}

template <class T>
Sequential<T>& Sequential<T>::operator=(const Sequential& other) {
  return *this = Sequential(other);
}

template <class T>
Sequential<T>& Sequential<T>::add(std::string name, std::unique_ptr<Layer<T>> layer) {
  if (!layer) throw GraphError(this->label() + ": layer '" + name + "' is null");
  if (name.empty() || name.front() == '.' || name.back() == '.')
    throw GraphError(this->label() + ": '" + name + "' cannot name a layer");
  for (const Entry& entry : layers_)
    if (entry.name == name) throw GraphError(this->label() + ": there are two layers named '" + name + "'");
  layer->set_path(this->path().empty() ? name : this->path() + "." + name);
  layers_.push_back({std::move(name), std::move(layer)});
  this->forget_forward();
  connect(nullptr);
  return *this;
}

template <class T>
void Sequential<T>::connect(const Chain<T>* like) {
  std::vector<Layer<T>*> layers;
  for (const Entry& entry : layers_) layers.push_back(entry.layer.get());
  chain_ = Chain<T>(std::move(layers), like);
}

template <class T>
Shape Sequential<T>::output_shape(const Shape& input) const {
  Shape shape = input;
  for (const Entry& entry : layers_) shape = entry.layer->output_shape(shape);
  return shape;
}

template <class T>
std::uint64_t Sequential<T>::multiply_adds(const Shape& input) const {
  std::uint64_t total = 0;
  Shape shape = input;
  for (const Entry& entry : layers_) {
    total += entry.layer->multiply_adds(shape);
    shape = entry.layer->output_shape(shape);
  }
  return total;
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
Tensor<T> Sequential<T>::do_infer(Tensor<T> x) const {
  return detail::infer_in_parts<T>(*this, std::move(x),
                                   [this](Tensor<T> part) { return chain_.infer(std::move(part)).take(); });
}

template <class T>
std::vector<typename Layer<T>::Child> Sequential<T>::children() {
  std::vector<typename Layer<T>::Child> all;
  for (const Entry& entry : layers_) all.push_back({entry.name, entry.layer.get()});
  return all;
}

template class Sequential<float>;
template class Sequential<double>;

}  // namespace strata
