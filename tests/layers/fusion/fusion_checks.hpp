// Fused networks and the same layers run one by one, both measured against the same network in double.
#pragma once

#include <limits>
#include <map>
#include <optional>

#include "tests/framework/kernels_only.hpp"
#include "tests/layers/layer_checks.hpp"

namespace strata::testing {

/// Restores the switch; reference layers are never fused.
class FusionTest : public ::testing::Test {
 protected:
  ~FusionTest() override { set_fusion(before_); }

 private:
  bool before_ = fusion();
  KernelsOnly kernels_only_;
};

/// A network to be fused, its twin to be run one by one, both for each instruction set, and the truth.
template <class T>
struct Twins {
  /// `in_double`: the same layers; the parameters become those of `net`.
  Twins(Sequential<T> net, Sequential<double> in_double) : exact(std::move(in_double)) {
    const auto from = net.parameters();
    const auto to = exact.parameters();
    for (std::size_t i = 0; i < from.size(); ++i) to[i]->value = widen(from[i]->value);
    for_each_instruction_set([&] { fused[instruction_set()] = plain[instruction_set()] = net; });
  }

  template <class Body>
  void for_each(const Body& body) {
    for (auto& [set, net] : fused) body(net);
    for (auto& [set, net] : plain) body(net);
    body(exact);
  }

  std::map<InstructionSet, Sequential<T>> fused, plain;
  Sequential<double> exact;
};

/// Tensors by name. Names of one kind of tensor of one layer are equal up to the last dot.
template <class T>
using Results = std::map<std::string, Tensor<T>>;

template <class T>
Results<T> gradients(Sequential<T>& net) {
  Results<T> results;
  for (const auto& [name, parameter] : net.named_parameters())
    results["gradient of " + name] = parameter->gradient;
  return results;
}

/// All that a step computes.
template <class T>
Results<T> run_step(Sequential<T>& net, bool fuse, const Tensor<T>& x, const Tensor<T>& dy) {
  for (Parameter<T>* parameter : net.parameters()) parameter->gradient.fill(NAN);  // to be overwritten
  set_fusion(fuse);
  const Tensor<T> y = net.forward(x);
  set_fusion(!fuse);  // the way back is that of forward, whatever the switch says now
  const Tensor<T> dx = net.backward(dy);
  Results<T> results = gradients(net);
  results["y"] = y;
  results["dx"] = dx;
  for (const auto& buffer : net.named_buffers())
    if (const auto* average = std::get_if<Tensor<T>*>(&buffer.value))
      results[buffer.name] = **average;
    else  // the dot parts the counter from the averages
      results[buffer.name + '.'] = full<T>({1}, static_cast<T>(*std::get<std::int64_t*>(buffer.value)));
  return results;
}

template <class T>
std::vector<Results<T>> run_plain(Twins<T>& twins, const Tensor<T>& x, const Tensor<T>& dy) {
  std::vector<Results<T>> results;
  for_each_instruction_set(
      [&] { results.push_back(run_step(twins.plain.at(instruction_set()), false, x, dy)); });
  return results;
}

/// What counts as one rounding, relative to the largest value; in double, where nothing more exact tells what
/// rounding does, as thousands.
template <class T>
constexpr double kRounding = std::is_same_v<T, float> ? std::numeric_limits<float>::epsilon() : 1e-12;

inline double largest(const Tensor<double>& x) {
  double largest = 1e-30;  // all may be 0
  for (const double value : x) largest = std::max(largest, std::abs(value));
  return largest;
}

/// Fused results err at most four times as much as the worst of the plain ones, as one largest of random
/// errors differs from another, and 32 roundings; up to 256 more where values are few, for these and their
/// errors can be small by chance. All tensors of a layer are measured as one, because some are nothing but
/// error: a bias in front of a norm has a gradient of 0.
template <class T>
void expect_as_exact(const Results<T>& fused, const std::vector<Results<T>>& plain,
                     const Results<double>& exact) {
  struct Measure {
    std::size_t values = 0;
    double scale = 0, error = 0;
  };
  std::map<std::string, Measure> layers;
  const auto layer = [&](const std::string& name) -> Measure& {
    return layers[name.substr(0, name.rfind('.'))];
  };
  double all = 0;
  for (const auto& [name, tensor] : exact) {
    Measure& measure = layer(name);
    measure.values += tensor.size();
    measure.scale = std::max(measure.scale, largest(tensor));
    all = std::max(all, measure.scale);
  }
  for (auto& [name, measure] : layers)
    if (measure.scale < 1e-12 * all) measure.scale = all;  // a layer of zeros, with the rounding of double
  for (const Results<T>& results : plain)
    for (const auto& [name, tensor] : results) {
      Measure& measure = layer(name);
      measure.error = std::max(measure.error, max_error(tensor, exact.at(name), measure.scale));
    }
  for (const auto& [name, tensor] : fused) {
    const Measure& measure = layer(name);
    const double roundings = 32 + 256.0 / static_cast<double>(measure.values);
    EXPECT_LE(max_error(tensor, exact.at(name), measure.scale), 4 * measure.error + roundings * kRounding<T>)
        << name;
  }
}

/// Whether two unequal values closer than gap compete for being the largest of a window.
inline bool is_near_a_tie(Layer<double>& pool, const Tensor<double>& x, double gap) {
  const auto winners = [&](const Tensor<double>& values) {
    const Tensor<double> y = pool.forward(values);
    return pool.backward(full<double>(y.shape(), 1));
  };
  // Mirrors values within intervals: two that share one change places. Close ones do in one of two divisions.
  for (const double shift : {0.0, 0.5}) {
    Tensor<double> mirrored = x;
    for (double& value : mirrored) {
      const double left = (std::floor(value / (2 * gap) + shift) - shift) * (2 * gap);
      value = left + (left + 2 * gap - value);
    }
    if (winners(mirrored) != winners(x)) return true;
  }
  return false;
}

/// Whether rounding can send a gradient another way: a value of a ReLU is near 0, or two of a window are
/// nearly equal. Near is within twice the largest error of x, since fused layers err as much, and a rounding.
/// What is 0 or equal with rounding and without it is so by its formula.
template <class T>
bool is_near_a_kink(Layer<double>& layer, const Tensor<T>& x, const Tensor<double>& exact) {
  const bool rectifies = layer.type() == "ReLU", pools = layer.type() == "MaxPool2D";
  if (!rectifies && !pools) return false;
  const double error = 2 * max_error(x, exact) + kRounding<T>, margin = error * largest(exact);
  if (pools) return is_near_a_tie(layer, exact, 2 * margin) || is_near_a_tie(layer, widen(x), 2 * margin);
  for (std::size_t i = 0; i < x.size(); ++i)
    if (std::abs(exact.data()[i]) <= margin && (exact.data()[i] != 0 || x.data()[i] != 0)) return true;
  return false;
}

/// The same for all layers of a network, which are its children.
template <class T>
bool is_near_a_kink(Twins<T> twins, const Tensor<T>& x) {
  std::map<InstructionSet, Tensor<T>> values;
  for_each_instruction_set([&] { values[instruction_set()] = x; });
  Tensor<double> exact = widen(x);
  for (std::size_t i = 0; i < twins.exact.children().size(); ++i) {
    Layer<double>& layer = *twins.exact.children()[i].layer;
    bool near = false;
    for_each_instruction_set([&] {
      Tensor<T>& value = values[instruction_set()];
      near = near || is_near_a_kink(layer, value, exact);
      if (!near) value = twins.plain[instruction_set()].children()[i].layer->forward(std::move(value));
    });
    if (near) return true;
    exact = layer.forward(std::move(exact));
  }
  return false;
}

/// Random values; fewer and fewer images if they are near a kink, none if all that were drawn are.
template <class T>
std::optional<Tensor<T>> away_from_kinks(const Twins<T>& twins, Shape shape, Random& random) {
  for (int attempt = 0; attempt < 20; ++attempt, shape[0] -= shape[0] / 6) {
    const auto x = random.normal<T>(shape);
    if (!is_near_a_kink(twins, x)) return x;
  }
  return std::nullopt;
}

/// Forward and backward with every instruction set. False, and nothing is done, if there is no x away from
/// kinks.
template <class T>
bool expect_same_step(Twins<T>& twins, const Shape& shape, Random& random) {
  const auto x = away_from_kinks(twins, shape, random);
  if (!x) return false;
  const auto dy = random.normal<T>(twins.exact.output_shape(x->shape()));
  const auto exact = run_step(twins.exact, false, widen(*x), widen(dy));
  const auto plain = run_plain(twins, *x, dy);
  for_each_instruction_set(
      [&] { expect_as_exact(run_step(twins.fused.at(instruction_set()), true, *x, dy), plain, exact); });
  return true;
}

template <class T>
void expect_same_inference(const Twins<T>& twins, const Tensor<T>& x) {
  const auto named = [](const auto& y) { return std::map{std::pair(std::string("y"), y)}; };
  set_fusion(true);
  std::vector<Results<T>> plain;
  for_each_instruction_set([&] { plain.push_back(named(twins.plain.at(instruction_set()).infer(x))); });
  for_each_instruction_set([&] {
    const Inference<T> model(twins.fused.at(instruction_set()));
    expect_as_exact(named(model(x)), plain, named(twins.exact.infer(widen(x))));
  });
}

}  // namespace strata::testing
