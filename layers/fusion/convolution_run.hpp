// Convolutions and the batch norms between them, in training, as one.
#pragma once

#include "strata/framework/graph/step.hpp"

namespace strata::fusion {

/// For nodes that begin with Conv2D, else null: a run of units, each a convolution, batch norm, perhaps ReLU,
/// and behind that perhaps max pooling; the last may be a convolution alone.
///
/// What lies between two convolutions is done image by image while these have the image in the cache: the
/// statistics are taken of what a convolution has just computed, y = max(norm(z), 0) is computed as the next
/// convolution reads it and is not kept, and backward likewise for the sums that the norm needs and for dz.
/// Of each unit only z and, behind a pooling, the pooled y stay in memory. Convolutions that do not take
/// single images (ImageAbilities) run as they would alone.
///
/// Where a convolution and what reads its result can both take it so, the result is of pixels (ImageLayout),
/// which is how convolutions compute it. The tensor's shape is (N, C, H, W) in either case.
template <class T>
std::unique_ptr<TrainingStep<T>> convolution_run(Stretch<T> nodes);

}  // namespace strata::fusion
