#pragma once

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// Pooling of planes: a window of kh x kw that moves in steps of sh x sw over an h x w plane padded by ph and
/// pw; out_h x out_w results.
struct PoolGeometry {
  Index h, w, kh, kw, sh, sw, ph, pw, out_h, out_w;
};

}  // namespace strata::kernels
