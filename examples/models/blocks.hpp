// The usual sandwiches of layers, appended to a Sequential.
#pragma once

#include <string>
#include <vector>

#include "strata/strata.hpp"

namespace strata::models {

/// Which normalization a model uses. Images get SpatialBatchNorm, InstanceNorm2D, GroupNorm (8 channels a
/// group) or GroupNorm with one group; features (N, D) get BatchNorm1D for `batch` and LayerNorm for every
/// other kind.
enum class Norm { none, batch, instance, group, layer };

/// Null for `none`.
template <class T>
std::unique_ptr<Layer<T>> image_norm(Norm norm, Index channels);
template <class T>
std::unique_ptr<Layer<T>> feature_norm(Norm norm, Index features);

/// Convolution (stride 1, same size, odd kernel) - norm - ReLU. The convolution has a bias only if no norm
/// follows.
template <class T>
void conv_norm_relu(Sequential<T>& net, Index in, Index out, Size2D kernel, Norm norm);

/// Convolution (stride 1, same size, odd kernel) - ReLU - 2x2 max pooling.
template <class T>
void conv_relu_pool(Sequential<T>& net, Index in, Index out, Size2D kernel);

/// Linear - norm - ReLU - dropout with probability `dropout`, if it is not 0.
template <class T>
void linear_norm_relu(Sequential<T>& net, Index in, Index out, Norm norm, double dropout = 0);

/// The values that `net` gives for one sample of this shape: what a Linear behind a Flatten needs to know.
template <class T>
Index features_of(const Layer<T>& net, const Shape& sample);

/// (1, C, H, W) for a sample (C, H, W).
Shape batch_of_one(const Shape& sample);

}  // namespace strata::models
