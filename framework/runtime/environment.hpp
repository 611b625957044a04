// Numbers that the environment sets.
#pragma once

#include <cstdint>
#include <optional>

namespace strata::detail {

/// What the variable says; nothing if it is not set. Throws ArgumentError if it is no whole number from
/// `least` to `most`.
std::optional<std::int64_t> number_from_environment(const char* variable, std::int64_t least,
                                                    std::int64_t most);

}  // namespace strata::detail
