// Snapshot: the values of parameters and buffers at one moment.
#pragma once

#include <utility>
#include <variant>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/io/state_dict.hpp"
#include "strata/framework/parameter.hpp"

namespace STRATA_EXPORT strata {
namespace detail {

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

  void restore(const std::vector<Parameter<T>*>& parameters, const std::vector<Buffer<T>>& buffers) const {
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

}  // namespace detail
}  // namespace strata
