#include "strata/framework/runtime/environment.hpp"

#include <charconv>
#include <cstdlib>
#include <string>

#include "strata/framework/error.hpp"

namespace strata::detail {

std::optional<std::int64_t> number_from_environment(const char* variable, std::int64_t least,
                                                    std::int64_t most) {
  const char* const found = std::getenv(variable);
  if (!found) return std::nullopt;
  const std::string text = found;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    throw ArgumentError(std::string(variable) + " must be a number from " + std::to_string(least) + " to " +
                        std::to_string(most) + ", got '" + text + "'");
  return value;
}

}  // namespace strata::detail
