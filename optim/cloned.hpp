// Cloned: a value of any class derived from a base.
#pragma once

#include <concepts>
#include <memory>
#include <utility>

#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// Holds an object of a class derived from Base, copied by its `clone()`; never empty. It lets options take
/// objects as values: `.schedule = OneCycle{}`.
template <class Base>
class Cloned {
 public:
  template <std::derived_from<Base> Derived>
  Cloned(const Derived& object) : object_(object.clone()) {}
  Cloned(const Cloned& other) : object_(other.object_->clone()) {}
  Cloned& operator=(const Cloned& other) {
    object_ = other.object_->clone();
    return *this;
  }

  void swap(Cloned& other) noexcept { object_.swap(other.object_); }

  Base& operator*() { return *object_; }
  const Base& operator*() const { return *object_; }
  Base* operator->() { return object_.get(); }
  const Base* operator->() const { return object_.get(); }

 private:
  std::unique_ptr<Base> object_;
};

}  // namespace strata
