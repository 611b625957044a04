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

template <class T>
void expect_same_gradients(Sequential<T>& fused, Sequential<T>& plain, double tolerance) {
  const auto a = fused.named_parameters(), b = plain.named_parameters();
  for (std::size_t i = 0; i < a.size(); ++i) {
    SCOPED_TRACE(a[i].first);
    EXPECT_LT(max_error(a[i].second->gradient, widen(b[i].second->gradient), 1), tolerance);
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

/// The least distance of a ReLU's inputs from its kink, within rounding of which an input may go either way;
/// but for zeros, which are results of another ReLU.
template <class T>
double distance_from_kinks(Sequential<T> net, Tensor<T> x) {
  double least = INFINITY;
  set_fusion(false);
  for (const auto& child : net.children()) {
    if (child.layer->type() == "ReLU")
      for (const T value : x)
        if (value != T{0}) least = std::min(least, std::abs(static_cast<double>(value)));
    x = child.layer->forward(std::move(x));
  }
  return least;
}

/// Random values for a network whose children are its layers.
template <class T>
Tensor<T> away_from_kinks(const Sequential<T>& net, const Shape& shape, Random& random) {
  for (int attempt = 0; attempt < 50; ++attempt) {
    auto x = random.normal<T>(shape);
    if (distance_from_kinks(net, x) > 1e-6) return x;
  }
  ADD_FAILURE() << "every input comes too near to a kink";
  return random.normal<T>(shape);
}

}  // namespace strata::testing
