// The sliding window of a pooling layer as its kernels and its reference take it.
#pragma once

#include "strata/layers/kernels/pooling/pool_geometry.hpp"
#include "strata/layers/pooling/pooling.hpp"
#include "strata/layers/reference/pooling.hpp"

namespace strata {

/// For images of these shapes.
kernels::PoolGeometry kernel_geometry(const Pooling& pooling, const Shape& in, const Shape& out);
/// For x of this shape.
reference::PoolingShape reference_shape(const Pooling& pooling, const Shape& x);

}  // namespace strata
