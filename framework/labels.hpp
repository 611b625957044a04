// Labels: what a classifier should say.
#pragma once

#include <cstdint>
#include <vector>

#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// One class number per sample, from 0.
using Labels = std::vector<std::int32_t>;

}  // namespace strata
