#include "strata/framework/network_state.hpp"

namespace strata::detail {
namespace {

template <class T, class Visit>
void for_each_layer(Layer<T>& net, const Visit& visit) {
  visit(net);
  for (const auto& child : net.children()) for_each_layer(*child.layer, visit);
}

std::string dotted(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

}  // namespace

template <class T>
std::vector<std::pair<std::string, Parameter<T>*>> NetworkState<T>::parameters(Layer<T>& net) {
  std::vector<std::pair<std::string, Parameter<T>*>> all;
  for_each_layer(net, [&](Layer<T>& layer) {
    for (Parameter<T>* parameter : layer.own_parameters())
      all.emplace_back(dotted(layer.path(), parameter->name), parameter);
  });
  return all;
}

template <class T>
std::vector<Buffer<T>> NetworkState<T>::buffers(Layer<T>& net) {
  std::vector<Buffer<T>> all;
  for_each_layer(net, [&](Layer<T>& layer) {
    for (Buffer<T>& buffer : layer.own_buffers())
      all.push_back({dotted(layer.path(), buffer.name), buffer.value, buffer.in_weights});
  });
  return all;
}

template <class T>
void NetworkState<T>::lend(Layer<T>& net) {
  for_each_layer(net, [](Layer<T>& layer) { layer.lend_state(); });
}

template <class T>
void NetworkState<T>::change(Layer<T>& net) {
  for_each_layer(net, [](Layer<T>& layer) { layer.change_state(); });
}

template struct NetworkState<float>;
template struct NetworkState<double>;

}  // namespace strata::detail
