#include "strata/framework/layer.hpp"

#include <algorithm>
#include <cmath>

#include "strata/framework/runtime/fork.hpp"

namespace strata {
namespace {

thread_local int finite_checks = 0;

template <class T>
void check_finite(const Layer<T>& layer, const Tensor<T>& values, const char* what) {
  if (!FiniteChecks::active()) return;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values.data()[i]))
      throw NotFiniteError(layer.label() + ": " + what + " holds " + std::to_string(values.data()[i]) +
                           " at element " + std::to_string(i) + " of " + to_string(values.shape()));
}

template <class T, class Visit>
void for_each_layer(Layer<T>& net, const Visit& visit) {
  if (net.identity() == 0) detail::throw_moved_from(net.label());
  visit(net);
  for (const auto& child : net.children()) for_each_layer(*child.layer, visit);
}

std::string dotted(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

}  // namespace

template <class T>
Layer<T>::~Layer() = default;
template <class T>
Layer<T>::Layer() = default;
template <class T>
Layer<T>::Layer(const Layer& other)
    : path_(other.path_), training_(other.training_), identity_(other.identity_) {}
template <class T>
Layer<T>::Layer(Layer&& other) noexcept
    : path_(other.path_),
      training_(other.training_),
      identity_(std::move(other.identity_)),
      record_(std::move(other.record_)) {}
template <class T>
Layer<T>& Layer<T>::operator=(const Layer& other) {
  identity_ = other.identity_;
  record_ = Record();
  return *this;
}
template <class T>
Layer<T>& Layer<T>::operator=(Layer&& other) noexcept {
  identity_ = std::move(other.identity_);
  record_ = std::move(other.record_);
  return *this;
}

FiniteChecks::FiniteChecks() {
  ++finite_checks;
}
FiniteChecks::~FiniteChecks() {
  --finite_checks;
}
bool FiniteChecks::active() {
  return finite_checks > 0;
}

template <class T>
void Layer<T>::check_tensors() const {
  check_value();
  check_own_tensors();
  // Listing the children changes nothing.
  for (const Child& child : const_cast<Layer&>(*this).children()) child.layer->check_tensors();
}

template <class T>
void Layer<T>::check_value() const {
  if (identity_.is_moved_from()) detail::throw_moved_from(label());
}

template <class T>
void Layer<T>::check_own_tensors() const {
  // Listing the parameters changes nothing; the pointers are not used to write here.
  for (const Parameter<T>* parameter : const_cast<Layer&>(*this).own_parameters())
    if (const std::string misfit = parameter->misfit(); !misfit.empty())
      throw ShapeError(label() + ": expected " + misfit);
}

template <class T>
void Layer<T>::check_output(const Tensor<T>& y, const Shape& promised, const char* call) const {
  if (y.shape() != promised)
    throw StateError(label() + ": output_shape promises " + to_string(promised) + " but " + call +
                     " returned " + to_string(y.shape()));
  check_finite(*this, y, "the output");
}

template <class T>
Tensor<T> Layer<T>::forward(Tensor<T> x, Record& record) {
  record = Record();
  check_tensors();
  Shape output = output_shape(x.shape());
  record.input_shape_ = x.shape();
  Tensor<T> y = do_forward(std::move(x), record);
  check_output(y, output, "forward");
  record.output_shape_ = std::move(output);
  record.owner_ = identity();
  return y;
}

template <class T>
void Layer<T>::begin_backward(const Tensor<T>& dy, Record& record) const {
  if (record.owner_ == 0) throw StateError(label() + ": backward needs a forward before it");
  if (record.owner_ != identity())
    throw StateError(label() +
                     ": backward needs the record of its own forward, but this one is of another layer, or "
                     "the layer has been changed since");
  if (dy.shape() != record.output_shape())
    throw ShapeError(label() + ": expected an output gradient of shape " + to_string(record.output_shape()) +
                     ", got " + to_string(dy.shape()));
  check_tensors();
  record.owner_ = 0;
}

template <class T>
Tensor<T> Layer<T>::backward(Tensor<T> dy, Record& record) {
  begin_backward(dy, record);
  Tensor<T> dx = do_backward(std::move(dy), record);
  if (dx.shape() != record.input_shape())
    throw StateError(label() + ": backward must return a gradient of the input's shape " +
                     to_string(record.input_shape()) + " but returned " + to_string(dx.shape()));
  record.kept_.reset();
  check_finite(*this, dx, "the input gradient");
  return dx;
}

template <class T>
void Layer<T>::backward_parameters(Tensor<T> dy, Record& record) {
  begin_backward(dy, record);
  do_backward_parameters(std::move(dy), record);
  record.kept_.reset();
}

template <class T>
Tensor<T> Layer<T>::infer(Tensor<T> x) const {
  check_tensors();
  const Shape output = output_shape(x.shape());
  Tensor<T> y = do_infer(std::move(x));
  check_output(y, output, "infer");
  return y;
}

template <class T>
void Layer<T>::set_path(std::string path) {
  path_ = path.empty() ? nullptr : std::make_shared<const std::string>(std::move(path));
  for (const Child& child : children()) child.layer->set_path(dotted(this->path(), child.name));
}

template <class T>
const std::string& Layer<T>::path() const {
  static constinit detail::Lazy<std::string> none;
  return path_ ? *path_ : none.get([] { return std::string(); });
}

template <class T>
std::string Layer<T>::label() const {
  return path_ ? type() + " '" + *path_ + "'" : type();
}

template <class T>
Layer<T>* Layer<T>::search(std::string_view relative_path) {
  // Names may hold dots: "block.conv" is either a child of that name or a child of "block".
  for (const Child& child : children()) {
    if (!relative_path.starts_with(child.name)) continue;
    const std::string_view rest = relative_path.substr(child.name.size());
    if (rest.empty()) return child.layer;
    if (rest.front() != '.') continue;
    if (Layer* found = child.layer->search(rest.substr(1))) return found;
  }
  return nullptr;
}

template <class T>
Layer<T>& Layer<T>::find(std::string_view relative_path) {
  if (Layer* found = search(relative_path)) return *found;
  throw GraphError(label() + ": has no layer '" + std::string(relative_path) + "'");
}

template <class T>
void Layer<T>::train(bool on) {
  training_ = on;
  for (const Child& child : children()) child.layer->train(on);
}

template <class T>
std::vector<std::pair<std::string, Parameter<T>*>> Layer<T>::named_parameters() {
  std::vector<std::pair<std::string, Parameter<T>*>> all;
  for_each_layer(*this, [&](Layer& layer) {
    for (Parameter<T>* parameter : layer.own_parameters())
      all.emplace_back(dotted(layer.path(), parameter->name), parameter);
  });
  return all;
}

template <class T>
std::vector<Parameter<T>*> Layer<T>::parameters() {
  std::vector<Parameter<T>*> all;
  for (const auto& [name, parameter] : named_parameters()) all.push_back(parameter);
  return all;
}

template <class T>
std::vector<Buffer<T>> Layer<T>::named_buffers() {
  std::vector<Buffer<T>> all;
  for_each_layer(*this, [&](Layer& layer) {
    for (Buffer<T>& buffer : layer.own_buffers())
      all.push_back({dotted(layer.path(), buffer.name), buffer.value, buffer.in_weights});
  });
  return all;
}

template <class T>
Index Layer<T>::parameter_count() const {
  Index count = 0;
  for (const Parameter<T>* parameter : const_cast<Layer&>(*this).parameters())
    count += static_cast<Index>(parameter->value.size());
  return count;
}

template <class T>
Index Layer<T>::trainable_parameter_count() const {
  Index count = 0;
  for (const Parameter<T>* parameter : const_cast<Layer&>(*this).parameters())
    if (parameter->trainable) count += static_cast<Index>(parameter->value.size());
  return count;
}

template <class T>
void Layer<T>::freeze(bool on) {
  for (Parameter<T>* parameter : parameters()) parameter->trainable = !on;
}

template <class T>
void Layer<T>::initialize(std::uint64_t seed) {
  for_each_layer(*this, [&](Layer& layer) {
    Random random(combine_seeds(seed, layer.path()));
    layer.reset_parameters(random);
  });
}

template <class T>
void Layer<T>::fail_shape(const std::string& expected, const Shape& got) const {
  throw ShapeError(label() + ": expected " + expected + ", got " + to_string(got));
}

template class Layer<float>;
template class Layer<double>;

}  // namespace strata
