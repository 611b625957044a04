// Checks of options that are numbers. (CLI11's own tell the largest double as their upper end.)
#pragma once

#include <CLI/CLI.hpp>

namespace strata::support {

/// Refuses with "expected a number above 0, got '-3'".
CLI::Validator above_zero();
/// Refuses with "expected a number of at least 0, got '-3'".
CLI::Validator at_least_zero();

}  // namespace strata::support
