#include "tests/properties/subject.hpp"

namespace strata::testing {
namespace {

template <class T>
Subject<T> max_pool_2d(Random& random) {
  const PoolCase c = random_pool_case(random, 19);
  return {
      std::make_unique<MaxPool2D<T>>(c.window, MaxPool2DOptions{.stride = c.stride, .padding = c.padding}),
      c.shape, [=](bool, const Tensor<double>& x, const Tensor<double>& dy) {
        Outcome outcome;
        reference_max_pool(c, x, dy, outcome.y.value, outcome.dx.value);
        outcome.dx.scale = largest(dy);
        return outcome;
      }};
}

Outcome average(const PoolCase& c, bool count_include_pad, const Tensor<double>& x,
                const Tensor<double>& dy) {
  Outcome outcome;
  reference_avg_pool(c, count_include_pad, x, dy, outcome.y.value, outcome.dx.value);
  outcome.y.scale = largest(x);
  outcome.dx.scale = largest(dy);
  return outcome;
}

template <class T>
Subject<T> avg_pool_2d(Random& random) {
  const PoolCase c = random_pool_case(random, 12);
  const bool count_include_pad = coin(random);
  return {std::make_unique<AvgPool2D<T>>(c.window, AvgPool2DOptions{.stride = c.stride,
                                                                    .padding = c.padding,
                                                                    .count_include_pad = count_include_pad}),
          c.shape, [=](bool, const Tensor<double>& x, const Tensor<double>& dy) {
            return average(c, count_include_pad, x, dy);
          }};
}

template <class T>
Subject<T> global_avg_pool_2d(Random& random) {
  const Shape shape = random_shape(random, 4, 4, 12);
  const PoolCase c{shape, {static_cast<Index>(shape[2]), static_cast<Index>(shape[3])}, 1, 0};
  return {std::make_unique<GlobalAvgPool2D<T>>(), shape,
          [=](bool, const Tensor<double>& x, const Tensor<double>& dy) { return average(c, true, x, dy); }};
}

}  // namespace

std::vector<LayerClass> pooling_classes() {
  return {{"MaxPool2D", max_pool_2d<float>, max_pool_2d<double>},
          {"AvgPool2D", avg_pool_2d<float>, avg_pool_2d<double>},
          {"GlobalAvgPool2D", global_avg_pool_2d<float>, global_avg_pool_2d<double>}};
}

}  // namespace strata::testing
