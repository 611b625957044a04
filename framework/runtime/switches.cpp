#include "strata/framework/runtime/switches.hpp"

#include <atomic>
#include <cstdlib>
#include <string>

#include "strata/framework/error.hpp"
#include "strata/framework/runtime/fork.hpp"

namespace strata {
namespace {

bool from_environment(const char* variable, bool otherwise) {
  const char* text = std::getenv(variable);
  if (!text) return otherwise;
  const std::string value = text;
  if (value != "0" && value != "1")
    throw ArgumentError(std::string(variable) + ": expected 0 or 1, got '" + value + "'");
  return value == "1";
}

std::atomic<bool>& fusion_switch() {
  static constinit detail::Lazy<std::atomic<bool>> on;
  return on.get([] { return from_environment("STRATA_FUSION", true); });
}

std::atomic<bool>& reference_switch() {
  static constinit detail::Lazy<std::atomic<bool>> on;
  return on.get([] { return from_environment("STRATA_REFERENCE", false); });
}

}  // namespace

bool fusion() {
  return fusion_switch();
}

void set_fusion(bool on) {
  fusion_switch() = on;
}

bool uses_reference() {
  return reference_switch();
}

void set_reference(bool on) {
  reference_switch() = on;
}

}  // namespace strata
