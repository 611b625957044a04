// A fused network against its twin whose layers run one by one.
#pragma once

#include "tests/layers/layer_checks.hpp"

namespace strata::testing {

/// Restores the switch.
class FusionTest : public ::testing::Test {
 protected:
  ~FusionTest() override { set_fusion(before_); }

 private:
  bool before_ = fusion();
};

template <class T>
void expect_same_state(Sequential<T>& fused, Sequential<T>& plain, double tolerance) {
  const auto a = fused.named_buffers(), b = plain.named_buffers();
  for (std::size_t i = 0; i < a.size(); ++i) {
    SCOPED_TRACE(a[i].name);
    if (const auto* count = std::get_if<std::int64_t*>(&a[i].value))
      EXPECT_EQ(**count, *std::get<std::int64_t*>(b[i].value));
    else
      EXPECT_LT(max_error(*std::get<Tensor<T>*>(a[i].value), widen(*std::get<Tensor<T>*>(b[i].value)), 1),
                tolerance);
  }
}

/// To the tolerance, or to 5 % of it of the largest gradient of all: in front of a norm, gradients are small
/// differences of sums as large as that, with their rounding.
template <class T>
void expect_same_gradients(Sequential<T>& fused, Sequential<T>& plain, double tolerance) {
  const auto a = fused.named_parameters(), b = plain.named_parameters();
  double largest = 0;
  for (const auto& [name, parameter] : b)
    for (const T value : parameter->gradient)
      largest = std::max(largest, std::abs(static_cast<double>(value)));
  const double scale = std::max(1.0, 0.05 * largest);
  for (std::size_t i = 0; i < a.size(); ++i) {
    SCOPED_TRACE(a[i].first);
    EXPECT_LT(max_error(a[i].second->gradient, widen(b[i].second->gradient), scale), tolerance);
  }
}

template <class T>
void expect_same_step(Sequential<T>& fused, Sequential<T>& plain, const Tensor<T>& x, Random& random,
                      double tolerance) {
  set_fusion(true);
  const Tensor<T> y = fused.forward(x);
  set_fusion(false);
  const Tensor<T> expected = plain.forward(x);
  EXPECT_LT(max_error(y, widen(expected), 1), tolerance);
  const auto dy = random.normal<T>(y.shape());
  // The way back is that of forward, whatever the switch says now.
  const Tensor<T> dx = fused.backward(dy);
  set_fusion(true);
  EXPECT_LT(max_error(dx, widen(plain.backward(dy)), 1), tolerance);
  expect_same_gradients(fused, plain, tolerance);
  expect_same_state(fused, plain, tolerance);
}

template <class T>
void expect_same_inference(const Sequential<T>& net, const Tensor<T>& x, double tolerance) {
  set_fusion(false);
  const Tensor<T> expected = net.infer(x);
  set_fusion(true);
  EXPECT_LT(max_error(net.infer(x), widen(expected), 1), tolerance);
}

/// Whether what rounding does to x can make other elements the largest of their windows.
template <class T>
bool is_near_a_tie(Layer<T>& pool, const Tensor<T>& x) {
  const auto winners = [&](const Tensor<T>& values) {
    const Tensor<T> y = pool.forward(values);
    return pool.backward(full<T>(y.shape(), T{1}));
  };
  // Equal values stay equal: they are of inputs that are all zeros, from which rounding takes nothing.
  Tensor<T> moved = x;
  for (T& value : moved) value *= T(1 + 5e-6 * std::sin(1e8 * static_cast<double>(value)));
  return winners(x) != winners(moved);
}

/// Whether what rounding does can send a gradient another way: a ReLU's input is near 0, but not 0, which is
/// a result of another ReLU, or two elements of a window are nearly equal.
template <class T>
bool is_near_a_kink(Sequential<T> net, Tensor<T> x) {
  set_fusion(false);
  for (const auto& child : net.children()) {
    const std::string type = child.layer->type();
    if (type == "ReLU")
      for (const T value : x)
        if (value != T{0} && std::abs(value) < T(5e-6)) return true;
    if (type == "MaxPool2D" && is_near_a_tie(*child.layer, x)) return true;
    x = child.layer->forward(std::move(x));
  }
  return false;
}

/// Random values for a network whose children are its layers; if need be near a kink, as where a network
/// computes the same value in two ways, of which either may win.
template <class T>
Tensor<T> away_from_kinks(const Sequential<T>& net, const Shape& shape, Random& random) {
  Tensor<T> x;
  for (int attempt = 0; attempt < 50; ++attempt) {
    x = random.normal<T>(shape);
    if (!is_near_a_kink(net, x)) break;
  }
  return x;
}

}  // namespace strata::testing
