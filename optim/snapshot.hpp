// Snapshot: the values of parameters and buffers at one moment.
#pragma once

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "strata/framework/error.hpp"
#include "strata/framework/io/state_dict.hpp"
#include "strata/framework/parameter.hpp"

namespace strata::detail {

/// Memory is reused from one capture to the next. The lists must be the same each time.
template <class T>
class Snapshot {
 public:
  bool empty() const { return parameters_.empty() && buffers_.empty(); }

  /// Empty afterwards if it throws: never a part of a network.
  void capture(const std::vector<Parameter<T>*>& parameters, const std::vector<Buffer<T>>& buffers) {
    Snapshot next = std::exchange(*this, {});
    next.parameters_.resize(parameters.size());
    for (std::size_t i = 0; i < parameters.size(); ++i) next.parameters_[i] = parameters[i]->value;
    next.buffers_.resize(buffers.size());
    for (std::size_t i = 0; i < buffers.size(); ++i)
      std::visit([&](const auto* value) { next.buffers_[i] = *value; }, buffers[i].value);
    *this = std::move(next);
  }

  /// Throws StateError for lists that are not those of the capture; then it restores nothing.
  void restore(const std::vector<Parameter<T>*>& parameters, const std::vector<Buffer<T>>& buffers) const {
    const auto fits = [](const Buffer<T>& buffer, const auto& kept) {
      const auto* tensor = std::get_if<Tensor<T>*>(&buffer.value);
      const auto* of_kept = std::get_if<Tensor<T>>(&kept);
      return tensor && of_kept ? (*tensor)->shape() == of_kept->shape() : !tensor && !of_kept;
    };
    if (!std::equal(parameters.begin(), parameters.end(), parameters_.begin(), parameters_.end(),
                    [](const auto* p, const auto& kept) { return p->value.shape() == kept.shape(); }) ||
        !std::equal(buffers.begin(), buffers.end(), buffers_.begin(), buffers_.end(), fits))
      throw StateError("Solver: the network does not have the parameters and buffers any more that it had");
    for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i]->value = parameters_[i];
    for (std::size_t i = 0; i < buffers.size(); ++i)
      std::visit([&](auto* value) { *value = std::get<std::decay_t<decltype(*value)>>(buffers_[i]); },
                 buffers[i].value);
  }

  /// Views of what was captured, under the names of the same network's parameters and buffers, in that order.
  std::vector<StateEntry> entries(const std::vector<StateEntry>& names) {
    std::vector<StateEntry> views;
    for (Tensor<T>& value : parameters_) views.push_back({names[views.size()].name, &value});
    for (auto& buffer : buffers_)
      std::visit([&](auto& value) { views.push_back({names[views.size()].name, &value}); }, buffer);
    return views;
  }

 private:
  std::vector<Tensor<T>> parameters_;
  std::vector<std::variant<Tensor<T>, std::int64_t>> buffers_;
};

}  // namespace strata::detail
