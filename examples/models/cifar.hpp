// The networks that train_cifar trains. Samples are (C, H, W); scores come out as (N, classes).
#pragma once

#include "models/blocks.hpp"

namespace strata::models {

/// The quick net of Caffe's CIFAR-10 example: [conv5x5 - 3x3/2 pooling] with 32, 32 and 64 channels, FC 64,
/// FC. The first pooling takes maxima, the others averages. Images of at least 15x15.
template <class T>
Sequential<T> quick(const Shape& sample, Index classes, Norm norm = Norm::none);

/// [conv3x3 - norm - ReLU] 32, 32, pool, 64, 64, pool, 128, 128, pool, FC 256 - norm - ReLU - dropout 0.5,
/// FC. Images of at least 8x8.
template <class T>
Sequential<T> vgg(const Shape& sample, Index classes, Norm norm = Norm::batch);

/// ResNet-8 (He et al., 2016): conv3x3 16, one residual block each of 16, 32 and 64 channels, global average,
/// FC.
template <class T>
Graph<T> resnet(const Shape& sample, Index classes, Norm norm = Norm::batch);

}  // namespace strata::models
