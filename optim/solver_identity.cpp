// What a run is, as far as its result depends on it: a checkpoint goes on in a Solver of the same identity
// alone.
#include <algorithm>

#include "strata/framework/data/fingerprint.hpp"
#include "strata/framework/graph/summary.hpp"
#include "strata/optim/checkpoint_folder.hpp"
#include "strata/optim/solver.hpp"

namespace strata {
namespace {

using detail::to_text;

std::string joined(const std::vector<double>& values) {
  std::string text;
  for (const double value : values) text += (text.empty() ? "" : ", ") + to_text(value);
  return text;
}

template <class T>
void add_layers_in_evaluation(std::string& names, Layer<T>& layer) {
  const auto children = layer.children();
  if (children.empty() && !layer.training()) names += (names.empty() ? "" : ", ") + layer.label();
  for (const auto& child : children) add_layers_in_evaluation(names, *child.layer);
}

}  // namespace

template <class T>
std::map<std::string, std::string> Solver<T>::identity() {
  const bool validates = data_.validation != nullptr;
  if (data_fingerprint_.empty())
    data_fingerprint_ =
        fingerprint(*data_.train) + (validates ? " and " + fingerprint(*data_.validation) : "");
  const Augmentation& augmentation = options_.augmentation;
  std::map<std::string, std::string> all{
      {"optimizer", optimizer_->type()},
      {"learning_rate", to_text(base_rate_)},
      {"schedule", options_.schedule->type()},
      {"loss", options_.loss->type()},
      {"batch_size", to_text(options_.batch_size)},
      {"validation_batch_size", to_text(options_.validation_batch_size.value_or(options_.batch_size))},
      {"seed", std::to_string(options_.seed)},
      {"max_gradient_norm", to_text(options_.max_gradient_norm)},
      {"training_samples", to_text(data_.train->size())},
      {"validation_samples", to_text(validates ? data_.validation->size() : 0)},
      {"data", data_fingerprint_},
      {"crop_padding", to_text(augmentation.crop_padding)},
      {"horizontal_flip", augmentation.horizontal_flip ? "yes" : "no"},
      {"cutout", to_text(augmentation.cutout)},
      {"keep_best", options_.keep_best ? "yes" : "no"},
      {"monitor", options_.monitor == Monitor::accuracy ? "accuracy" : "loss"}};
  if (options_.standardization) {
    all["standardization.mean"] = joined(options_.standardization->mean);
    all["standardization.standard_deviation"] = joined(options_.standardization->standard_deviation);
  }
  const auto add_settings = [&](const std::string& owner, const Settings& settings) {
    for (const auto& [name, value] : settings) all[owner + "." + name] = to_text(value);
  };
  add_settings("optimizer", optimizer_->settings());
  add_settings("schedule", options_.schedule->settings());
  add_settings("loss", options_.loss->settings());

  const Shape sample = data_.train->sample_shape();
  Shape input{static_cast<std::size_t>(std::min(options_.batch_size, data_.train->size()))};
  input.insert(input.end(), sample.begin(), sample.end());
  for (const SummaryRow& row : summary(net_, input).rows)
    all["structure." + row.path] = row.options.empty() ? row.type : row.type + " " + row.options;
  add_layers_in_evaluation(all["layers in evaluation mode"], net_);
  std::string& frozen = all["frozen parameters"];
  for (const auto& [name, parameter] : net_.named_parameters())
    if (!parameter->trainable) frozen += (frozen.empty() ? "" : ", ") + name;

  if (options_.checkpoints)
    for (const auto& [name, value] : options_.checkpoints->run_options) all["option." + name] = value;
  return all;
}

template std::map<std::string, std::string> Solver<float>::identity();
template std::map<std::string, std::string> Solver<double>::identity();

}  // namespace strata
