// Identity: which object this is, and whether another value has been assigned to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace strata::detail {

/// A number that no other object of the program has. It stays with a value that is moved; a copy, and
/// whatever is assigned to, gets a new one. It tells what was made for an object from what was made for its
/// predecessor.
class Identity {
 public:
  Identity() : number_(next()) {}
  Identity(const Identity&) : number_(next()) {}
  Identity(Identity&& other) noexcept : number_(std::exchange(other.number_, next())) {}
  Identity& operator=(const Identity&) {
    number_ = next();
    return *this;
  }
  Identity& operator=(Identity&& other) noexcept {
    number_ = std::exchange(other.number_, next());
    return *this;
  }
  ~Identity() = default;

  std::uint64_t number() const { return number_; }

 private:
  static std::uint64_t next() {
    static std::atomic<std::uint64_t> last = 0;
    return ++last;
  }

  std::uint64_t number_;
};

}  // namespace strata::detail
