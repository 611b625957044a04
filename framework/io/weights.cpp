#include "strata/framework/io/weights.hpp"

#include "strata/framework/io/checksum.hpp"
#include "strata/framework/io/quote.hpp"
#include "strata/framework/io/safetensors.hpp"

namespace strata {

template <class T>
std::vector<StateEntry> state_of(Layer<T>& net, StateScope scope) {
  net.check_tensors();
  std::vector<StateEntry> entries;
  for (auto& [name, parameter] : net.named_parameters()) entries.push_back({name, &parameter->value});
  for (auto& buffer : net.named_buffers()) {
    if (scope == StateScope::weights && !buffer.in_weights) continue;
    std::visit([&](auto* place) { entries.push_back({buffer.name, place}); }, buffer.value);
  }
  return entries;
}

template <class T>
void save_weights(Layer<T>& net, const std::string& path) {
  StateDict state = capture(state_of(net, StateScope::weights));
  state.metadata["format"] = "pt";  // the note by which Python's tools know PyTorch's names and layouts
  detail::add_checksum(state);
  write_safetensors(state, path);
}

template <class T>
LoadReport load_weights(Layer<T>& net, const std::string& path) {
  return load_weights(net, path, LoadOptions{});
}

template <class T>
LoadReport load_weights(Layer<T>& net, const std::string& path, LoadOptions options) {
  StateDict state = read_safetensors(path);
  const std::string file = detail::in_quotes(path);
  detail::verify_checksum(state, file);  // files from elsewhere have none
  return restore(state_of(net, StateScope::weights), state, file, options);
}

template std::vector<StateEntry> state_of(Layer<float>&, StateScope);
template std::vector<StateEntry> state_of(Layer<double>&, StateScope);
template void save_weights(Layer<float>&, const std::string&);
template void save_weights(Layer<double>&, const std::string&);
template LoadReport load_weights(Layer<float>&, const std::string&);
template LoadReport load_weights(Layer<double>&, const std::string&);
template LoadReport load_weights(Layer<float>&, const std::string&, LoadOptions);
template LoadReport load_weights(Layer<double>&, const std::string&, LoadOptions);

}  // namespace strata
