// The bias of a convolution, as kernels that work on whole vectors of channels take it.
#pragma once

#include <algorithm>

#include "strata/layers/kernels/scratch.hpp"

namespace strata::kernels {

/// `channels` values for each group, followed by zeros up to `width`.
class PaddedBias {
 public:
  /// Without a bias, zeros if `always`, else nothing.
  PaddedBias(const float* bias, Index groups, Index channels, Index width, bool always = false)
      : width_(width), values_(bias || always ? groups * width : 0), given_(bias || always) {
    if (!given_) return;
    std::fill_n(values_.data(), groups * width, 0.0f);
    for (Index g = 0; bias && g < groups; ++g)
      std::copy_n(bias + g * channels, channels, values_.data() + g * width);
  }

  /// Null if there is none.
  const float* of_group(Index group) const { return given_ ? values_.data() + group * width_ : nullptr; }
  const float* from_channel(Index channel) const { return given_ ? values_.data() + channel : nullptr; }

 private:
  Index width_;
  Scratch<float> values_;
  bool given_;
};

}  // namespace strata::kernels
