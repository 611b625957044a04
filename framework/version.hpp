// Which Strata this is.
#pragma once

#include <string_view>

namespace strata {

/// "0.1.0". Another version may round differently.
std::string_view version();

}  // namespace strata
