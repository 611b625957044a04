// What holds for every layer, as checks that each layer's tests call.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/graph/gradient_check.hpp"
#include "strata/strata.hpp"

namespace strata::testing {

template <class T>
::testing::AssertionResult same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  if (a.shape() != b.shape())
    return ::testing::AssertionFailure() << to_string(a.shape()) << " is not " << to_string(b.shape());
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(a.data() + i, b.data() + i, sizeof(T)) != 0)
      return ::testing::AssertionFailure()
             << "element " << i << ": " << a.data()[i] << " is not " << b.data()[i];
  return ::testing::AssertionSuccess();
}

/// max |a - b| <= tolerance * max(1, |b|), element by element.
template <class T, class U>
::testing::AssertionResult near(const Tensor<T>& a, const Tensor<U>& b, double tolerance) {
  if (a.shape() != b.shape())
    return ::testing::AssertionFailure() << to_string(a.shape()) << " is not " << to_string(b.shape());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a.data()[i]), y = static_cast<double>(b.data()[i]);
    if (!(std::abs(x - y) <= tolerance * std::max(1.0, std::abs(y))))
      return ::testing::AssertionFailure() << "element " << i << ": " << x << " is not near " << y;
  }
  return ::testing::AssertionSuccess();
}

template <class T>
Tensor<double> widen(const Tensor<T>& x) {
  auto wide = empty<double>(x.shape());
  std::copy(x.begin(), x.end(), wide.begin());
  return wide;
}

/// max |a - b| / max(scale, max |b|); NaN if a holds one.
template <class T>
double max_error(const Tensor<T>& a, const Tensor<double>& b, double scale = 0) {
  if (a.shape() != b.shape()) return INFINITY;
  double error = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a.data()[i]) - b.data()[i]);
    if (std::isnan(difference)) return NAN;
    error = std::max(error, difference);
    scale = std::max(scale, std::abs(b.data()[i]));
  }
  return error / std::max(scale, 1e-30);  // all may be 0
}

/// Runs body once for each instruction set that this processor has.
template <class Body>
void for_each_instruction_set(const Body& body) {
  const InstructionSet before = instruction_set();
  for (const InstructionSet set : {InstructionSet::generic, InstructionSet::avx2, InstructionSet::avx512})
    if (is_available(set)) {
      SCOPED_TRACE(to_string(set));
      set_instruction_set(set);
      body();
    }
  set_instruction_set(before);
}

/// Samples [begin, end).
template <class T>
Tensor<T> samples(const Tensor<T>& x, Index begin, Index end) {
  Shape shape = x.shape();
  const std::size_t size = x.size() / shape[0];
  shape[0] = static_cast<std::size_t>(end - begin);
  auto part = empty<T>(shape);
  std::copy_n(x.data() + static_cast<std::size_t>(begin) * size, part.size(), part.data());
  return part;
}

/// Different values at a distance of at least 0.01 from each other and from 0, in random order: far from ties
/// and from kinks.
template <class T>
Tensor<T> distinct_values(const Shape& shape, std::uint64_t seed) {
  auto values = empty<T>(shape);
  const auto order = Random(seed).permutation(static_cast<Index>(values.size()));
  const auto half = static_cast<T>(values.size() / 2);
  for (std::size_t i = 0; i < values.size(); ++i)
    values.data()[i] = (static_cast<T>(order[i]) - half + T(0.5)) * T(0.02);
  return values;
}

/// backward equals the differences of forward to 1e-6, in training and in evaluation.
inline void expect_right_gradients(const Layer<double>& layer, const Tensor<double>& x) {
  const GradientReport report = check_gradients(layer, x);
  EXPECT_TRUE(report.passed()) << report;
}

/// The contract of Layer::forward, backward and infer: order of calls, shapes, evaluation, clones, and the
/// same bits for any number of threads. x should be large enough for several threads.
template <class T>
void expect_contract(const Layer<T>& prototype, const Tensor<T>& x) {
  const auto layer = prototype.clone();
  const Shape out = layer->output_shape(x.shape());
  const auto dy = Random(99).normal<T>(out);
  EXPECT_THAT([&] { layer->backward(dy); },
              ::testing::ThrowsMessage<StateError>(::testing::HasSubstr(layer->type() + ": backward")));

  // Shapes.
  layer->forward(x);
  Shape wrong = out;
  wrong.back() += 1;
  EXPECT_THAT([&] { layer->backward(full<T>(wrong, T{1})); },
              ::testing::ThrowsMessage<ShapeError>(::testing::AllOf(::testing::HasSubstr(to_string(out)),
                                                                    ::testing::HasSubstr(to_string(wrong)))));
  const Tensor<T> after_error = layer->backward(dy);
  EXPECT_EQ(after_error.shape(), x.shape());
  EXPECT_THROW(layer->backward(dy), StateError);

  // Evaluation: infer is forward, and backward is allowed.
  layer->eval();
  const Tensor<T> evaluated = layer->forward(x);
  EXPECT_TRUE(same_bits(layer->infer(x), evaluated));
  EXPECT_EQ(layer->backward(dy).shape(), x.shape());
  if (layer->is_per_sample()) {
    const auto last = static_cast<Index>(x.shape()[0]);
    EXPECT_TRUE(near(layer->infer(samples(x, last - 1, last)), samples(evaluated, last - 1, last),
                     std::is_same_v<T, float> ? 1e-5 : 1e-12));
  }

  // Threads.
  const int threads_before = num_threads();
  Tensor<T> y, dx;
  for (const int threads : {1, 2, 3, 5}) {
    set_num_threads(threads);
    const auto copy = prototype.clone();
    const Tensor<T> y_now = copy->forward(x), dx_now = copy->backward(dy);
    if (threads > 1) {
      EXPECT_TRUE(same_bits(y_now, y)) << threads << " threads";
      EXPECT_TRUE(same_bits(dx_now, dx)) << threads << " threads";
    }
    y = y_now;
    dx = dx_now;
  }
  set_num_threads(threads_before);

  // A clone remembers what its original did, and neither disturbs the other.
  const auto original = prototype.clone();
  original->forward(x);
  const auto clone = original->clone();
  clone->forward(full<T>(x.shape(), T{-1}));
  clone->backward(dy);
  EXPECT_TRUE(same_bits(original->backward(dy), dx));
}

}  // namespace strata::testing
