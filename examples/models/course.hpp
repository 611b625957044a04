// The two model families of the CS231n assignments.
#pragma once

#include "models/blocks.hpp"

namespace strata::models {

struct FullyConnectedOptions {
  Norm normalization = Norm::none;
  double dropout = 0;          ///< probability of dropping; the course's keep ratio is 1 - dropout
  double weight_scale = 1e-2;  ///< weights start as N(0, weight_scale^2), biases at 0
  std::uint64_t seed = 0;
};

/// {affine - [norm] - ReLU - [dropout]} for each entry of `hidden_dims`, then affine: (N, D) -> (N, classes).
/// Images are flattened first.
template <class T>
Sequential<T> fully_connected_net(const Shape& sample, const std::vector<Index>& hidden_dims, Index classes,
                                  FullyConnectedOptions options = {});

struct ThreeLayerConvOptions {
  Index filters = 32;
  Index filter_size = 7;
  Index hidden_dim = 100;
  double weight_scale = 1e-3;
  std::uint64_t seed = 0;
};

/// conv - ReLU - 2x2 max pool - affine - ReLU - affine: (N, C, H, W) -> (N, classes).
template <class T>
Sequential<T> three_layer_conv_net(const Shape& sample, Index classes, ThreeLayerConvOptions options = {});

}  // namespace strata::models
