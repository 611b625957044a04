#include "support/number_checks.hpp"

namespace strata::support {
namespace {

template <class IsRight>
CLI::Validator number(const std::string& wanted, const std::string& help, const IsRight& is_right) {
  const auto check = [=](std::string& text) -> std::string {
    double value = 0;
    if (CLI::detail::lexical_cast(text, value) && is_right(value)) return {};
    return "expected a number " + wanted + ", got '" + text + "'";
  };
  return {check, help};
}

}  // namespace

CLI::Validator above_zero() {
  return number("above 0", "POSITIVE", [](double value) { return value > 0; });
}

CLI::Validator at_least_zero() {
  return number("of at least 0", "NONNEGATIVE", [](double value) { return value >= 0; });
}

}  // namespace strata::support
