// Two equal networks that are told the same. The one may fuse layers, the other may not; nobody should be
// able to tell them apart.
#pragma once

#include <array>
#include <optional>
#include <typeinfo>

#include "tests/layers/random_cases.hpp"

namespace strata::testing {

constexpr std::size_t kRecords = 2;

/// A network and what a program has made with it.
template <class Net>
struct Side {
  Net net;
  std::array<Record, kRecords> records = {};
  std::optional<Inference<double>> model = std::nullopt;
  SGD<double> optimizer{{.learning_rate = 0.01, .momentum = 0.5}};
};

template <class Net>
struct Twins {
  Shape input;
  Side<Net> fused, plain;
  /// Parameters have had other values since a forward: what backward would give is not defined.
  bool other_values = true;
};

/// What a call gave.
struct Result {
  std::vector<Tensor<double>> values;
  std::string error;
};

inline std::string description(Layer<double>& net) {
  std::string text;
  for (const auto& child : net.children())
    text += "\n" + child.layer->label() + " " + child.layer->options() +
            (child.layer->training() ? "" : " (evaluation)") + description(*child.layer);
  return text;
}

/// Relative to the largest value. Where networks have exploded nothing is compared.
inline void expect_same(const Tensor<double>& a, const Tensor<double>& b) {
  ASSERT_EQ(a.shape(), b.shape());
  double most = 1, error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    most = std::max({most, std::abs(a.data()[i]), std::abs(b.data()[i])});
    error = std::max(error, std::abs(a.data()[i] - b.data()[i]));
  }
  if (most < 1e6) {
    EXPECT_LE(error, 1e-7 * most);
  }
}

/// Makes the same call of both, with fusion and without, and expects the same values, or the same error. The
/// call may draw from `random` and change anything in the network.
template <class Net, class Call>
void both(Twins<Net>& twins, Random& random, const Call& call) {
  const auto attempt = [&](Side<Net>& side, bool fuse) -> Result {
    set_fusion(fuse);
    try {
      return {call(side), ""};
    } catch (const Error& error) {
      return {{}, std::string(typeid(error).name()) + ": " + error.what()};
    }
  };
  Random before = random;
  const Result fused = attempt(twins.fused, true);
  std::swap(before, random);
  const Result plain = attempt(twins.plain, false);
  EXPECT_EQ(fused.error, plain.error);
  EXPECT_EQ(fused.values.size(), plain.values.size());
  for (std::size_t i = 0; i < std::min(fused.values.size(), plain.values.size()); ++i)
    expect_same(fused.values[i], plain.values[i]);
  if (::testing::Test::HasFailure())
    ADD_FAILURE() << "input " << to_string(twins.input) << description(twins.plain.net);
}

/// The fused one goes on from what the plain one has, so that rounding errors do not grow from step to step.
template <class Net>
void take_over(Twins<Net>& twins) {
  try {
    const auto from = twins.plain.net.named_parameters(), to = twins.fused.net.named_parameters();
    for (std::size_t i = 0; i < from.size(); ++i)
      if (from[i].second->misfit().empty()) {
        to[i].second->value = from[i].second->value;
        to[i].second->gradient = from[i].second->gradient;
      }
    const auto old = twins.plain.net.named_buffers(), same = twins.fused.net.named_buffers();
    for (std::size_t i = 0; i < old.size(); ++i)
      if (auto* const tensor = std::get_if<Tensor<double>*>(&old[i].value))
        *std::get<Tensor<double>*>(same[i].value) = **tensor;
    const auto momenta = twins.plain.optimizer.state(), same_momenta = twins.fused.optimizer.state();
    for (std::size_t i = 0; i < momenta.size(); ++i)
      if (auto* const tensor = std::get_if<Tensor<double>*>(&momenta[i].value))
        *std::get<Tensor<double>*>(same_momenta[i].value) = **tensor;
  } catch (const StateError&) {  // a layer was moved out
  }
}

}  // namespace strata::testing
