// Labels: what a classifier should say.
#pragma once

#include <cstdint>
#include <vector>

namespace strata {

/// One class number per sample, from 0.
using Labels = std::vector<std::int32_t>;

}  // namespace strata
