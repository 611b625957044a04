// Identity: which object this is, whether another value has been assigned to it, and whether it has one.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "strata/framework/error.hpp"
#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {
namespace detail {

[[noreturn]] inline void throw_moved_from(const std::string& owner) {
  throw StateError(owner + ": its value has been moved to another object; assign one first");
}

/// A number that no other object of the program has. It stays with a value that is moved, and leaves 0
/// behind; a copy of a value, and what a value is assigned to, gets a new one. It tells what was made for an
/// object from what was made for its predecessor.
class Identity {
 public:
  Identity() : number_(next()) {}
  Identity(const Identity& other) : number_(copied(other)) {}
  Identity(Identity&& other) noexcept : number_(std::exchange(other.number_, 0)) {}
  Identity& operator=(const Identity& other) {
    number_ = copied(other);
    return *this;
  }
  Identity& operator=(Identity&& other) noexcept {
    number_ = std::exchange(other.number_, 0);
    return *this;
  }
  ~Identity() = default;

  std::uint64_t number() const { return number_; }
  bool is_moved_from() const { return number_ == 0; }

 private:
  static std::uint64_t next() {
    static std::atomic<std::uint64_t> last = 0;
    return ++last;
  }
  static std::uint64_t copied(const Identity& other) { return other.is_moved_from() ? 0 : next(); }

  std::uint64_t number_;
};

}  // namespace detail
}  // namespace strata
