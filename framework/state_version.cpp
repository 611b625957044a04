#include "strata/framework/state_version.hpp"

namespace strata {
namespace {

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

}  // namespace

StateVersion::StateVersion() : number_(next_number()) {}

// What is lent has a number that does not tell anything.
StateVersion::StateVersion(const StateVersion& other) : number_(other.number().value_or(next_number())) {}

// Pointers to elements move along with these.
StateVersion::StateVersion(StateVersion&& other) noexcept
    : number_(other.number_), lent_(other.lent_.load(std::memory_order_relaxed)) {
  other.change();
}

StateVersion& StateVersion::operator=(const StateVersion& other) {
  number_ = other.number().value_or(next_number());
  return *this;
}

StateVersion& StateVersion::operator=(StateVersion&& other) noexcept {
  number_ = other.number_;
  if (other.lent_.load(std::memory_order_relaxed)) lend();
  other.change();
  return *this;
}

void StateVersion::change() {
  number_ = next_number();
}

}  // namespace strata
