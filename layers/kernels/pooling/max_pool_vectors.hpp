// Vectors of windows of max pooling.
//
// For NAME.simd.cpp files only. Everything is in an anonymous namespace: were it shared between files, the
// linker could hand the code of one instruction set to another.
#pragma once

#include "strata/layers/kernels/simd/vectors.hpp"

namespace strata::kernels {
namespace {

// A place beside a value of type T, of the same size.
template <class T>
using Place = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

// The maxima of kLanes windows and their places.
template <class T, Index kLanes>
class Maxima {
 public:
  using Values = Vector<T, kLanes>;
  Maxima(const Values& first, Index place) : best_(first), places_(all(place)) {}
  void meet(const Values& value, Index place) {
    const Places wins = ~(value <= best_) & (best_ == best_);
    best_ = wins ? value : best_;
    places_ = wins ? all(place) : places_;
  }
  template <class Position>
  void write(T* y, Position* positions) const {
    store(best_, y);
    store(convert<Position, kLanes>(places_), positions);
  }

 private:
  using Places = Vector<Place<T>, kLanes>;
  static Places all(Index place) { return Places{} + static_cast<Place<T>>(place); }

  Values best_;
  Places places_;
};

// The gradients of kLanes windows.
template <class T, Index kLanes>
class Gradients {
 public:
  using Values = Vector<T, kLanes>;
  template <class Position>
  Gradients(const T* dy, const Position* positions)
      : dy_(load<Values>(dy)),
        places_(convert<Place<T>, kLanes>(load<Vector<Position, kLanes>>(positions))) {}
  // At one place: dy where the maximum was there, else 0.
  Values at(Index place) const { return places_ == static_cast<Place<T>>(place) ? dy_ : Values{}; }

 private:
  Values dy_;
  Vector<Place<T>, kLanes> places_;
};

}  // namespace
}  // namespace strata::kernels
