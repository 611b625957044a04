// Settings: the options of an object by name, so that two runs can be compared.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// The options of an optimizer, a schedule or a loss: {"beta1", 0.9}, …; a switch is 0 or 1. Resuming a
/// training compares them.
using Settings = std::vector<std::pair<std::string, double>>;

}  // namespace strata
