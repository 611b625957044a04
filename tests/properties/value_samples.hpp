// A layer of every class, as no constructor makes it: for the tests that say what copies, moves and
// assignments do.
#pragma once

#include "strata/strata.hpp"
#include "tests/properties/subject.hpp"

namespace strata::testing {

template <class L>
L sample();

template <>
inline Linear<double> sample() {
  return {3, 4};
}
template <>
inline Conv2D<double> sample() {
  return {3, 4, 3, {.padding = 1}};
}
template <>
inline ConvTranspose2D<double> sample() {
  return {3, 4, 3, {.padding = 1}};
}
template <>
inline BatchNorm1D<double> sample() {
  return BatchNorm1D<double>{3};
}
template <>
inline SpatialBatchNorm<double> sample() {
  return SpatialBatchNorm<double>{3};
}
template <>
inline InstanceNorm2D<double> sample() {
  return InstanceNorm2D<double>{3, {.affine = true, .track_running_stats = true}};
}
template <>
inline GroupNorm<double> sample() {
  return {3, 3};
}
template <>
inline LayerNorm<double> sample() {
  return LayerNorm<double>{{3, 6, 6}};
}
template <>
inline Dropout<double> sample() {
  return Dropout<double>{0.4};
}
template <>
inline Dropout2D<double> sample() {
  return Dropout2D<double>{0.4};
}
template <>
inline MaxPool2D<double> sample() {
  return MaxPool2D<double>{2};
}
template <>
inline AvgPool2D<double> sample() {
  return AvgPool2D<double>{2};
}
template <>
inline Upsample2D<double> sample() {
  return Upsample2D<double>{2};
}
template <>
inline LeakyReLU<double> sample() {
  return LeakyReLU<double>{0.2};
}
// Of options nothing.
template <class L>
L sample() {
  return L{};
}
// Of one layer, which greedy constructors take for a copy.
template <>
inline Sequential<double> sample() {
  return Sequential<double>{Conv2D<double>{3, 4, 3}};
}
template <>
inline Graph<double> sample() {
  Graph<double> graph;
  graph.input("x")
      .add("conv", Conv2D<double>{3, 3, 3, {.padding = 1}}, "x")
      .add("norm", SpatialBatchNorm<double>{3}, "conv")
      .join("sum", Add<double>{}, {"norm", "x"})
      .output("sum");
  return graph;
}

/// What the sample takes.
template <class L>
Shape sample_input() {
  if constexpr (std::is_same_v<L, Linear<double>> || std::is_same_v<L, BatchNorm1D<double>>)
    return {5, 3};
  else
    return {5, 3, 6, 6};
}

// Compiling this many tests under a sanitizer takes minutes; there it is one layer of each base.
#if STRATA_ADDRESS_SANITIZED || defined(__SANITIZE_THREAD__)
using AllLayers = ::testing::Types<Linear<double>, SpatialBatchNorm<double>, Dropout2D<double>,
                                   MaxPool2D<double>, Sequential<double>, Graph<double>>;
#else
using AllLayers =
    ::testing::Types<Linear<double>, Conv2D<double>, ConvTranspose2D<double>, BatchNorm1D<double>,
                     SpatialBatchNorm<double>, InstanceNorm2D<double>, GroupNorm<double>, LayerNorm<double>,
                     Dropout<double>, Dropout2D<double>, Flatten<double>, ReLU<double>, LeakyReLU<double>,
                     Sigmoid<double>, Tanh<double>, MaxPool2D<double>, AvgPool2D<double>,
                     GlobalAvgPool2D<double>, Upsample2D<double>, Sequential<double>, Graph<double>>;
#endif

}  // namespace strata::testing
