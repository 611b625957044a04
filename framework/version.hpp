// Which Strata this is.
#pragma once

#include <string_view>

#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// "0.1.0". Another version may round differently.
std::string_view version();

}  // namespace strata
