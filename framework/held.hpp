// Held: what a class that can be moved keeps out of its header.
#pragma once

#include <memory>

#include "strata/framework/export.hpp"
#include "strata/framework/identity.hpp"

namespace STRATA_EXPORT strata {
namespace detail {

/// A unique_ptr that throws StateError, which begins with `owner`, where one that was moved from is used.
template <class Object, class Discard = std::default_delete<Object>>
class Held {
 public:
  Held(const char* owner, std::unique_ptr<Object, Discard> object)
      : owner_(owner), object_(std::move(object)) {}

  Object& operator*() const {
    if (!object_) throw_moved_from(owner_);
    return *object_;
  }
  Object* operator->() const { return &**this; }

 private:
  const char* owner_;
  std::unique_ptr<Object, Discard> object_;
};

}  // namespace detail
}  // namespace strata
