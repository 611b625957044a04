#include "strata/framework/io/weights.hpp"

#include <algorithm>
#include <string_view>

#include "strata/framework/io/checksum.hpp"
#include "strata/framework/io/quote.hpp"
#include "strata/framework/io/safetensors.hpp"

namespace strata {
namespace {

constexpr std::int64_t kUncountedBatches = 9;  // the next then has a weight of 0.1, as by default

// Averages of a file that does not count their batches, as PyTorch's old ones: a cumulative average would
// forget them with the next batch.
void count_loaded_averages(const std::vector<StateEntry>& entries, const LoadReport& report) {
  constexpr std::string_view kCounter = "num_batches_tracked";
  const auto holds = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto& [name, place] : entries) {
    auto* const* const count = std::get_if<std::int64_t*>(&place);
    if (!count || **count != 0 || !name.ends_with(kCounter) || !holds(report.missing, name)) continue;
    if (holds(report.loaded, name.substr(0, name.size() - kCounter.size()) + "running_mean"))
      **count = kUncountedBatches;
  }
}

}  // namespace

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
  const std::vector<StateEntry> entries = state_of(net, StateScope::weights);
  LoadReport report = restore(entries, state, file, options);
  count_loaded_averages(entries, report);
  return report;
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
