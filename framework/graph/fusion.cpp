#include "strata/framework/graph/fusion.hpp"

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "strata/framework/error.hpp"

namespace strata {
namespace {

bool default_fusion() {
  const char* text = std::getenv("STRATA_FUSION");
  if (!text) return true;
  const std::string_view value = text;
  if (value != "0" && value != "1")
    throw ArgumentError("STRATA_FUSION: expected 0 or 1, got '" + std::string(value) + "'");
  return value == "1";
}

std::atomic<bool>& current() {
  static std::atomic<bool> on = default_fusion();
  return on;
}

}  // namespace

bool fusion() {
  return current();
}

void set_fusion(bool on) {
  current() = on;
}

}  // namespace strata
