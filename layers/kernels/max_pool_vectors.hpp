// Vectors of windows of max pooling.
//
// For NAME.simd.cpp files only. Everything is in an anonymous namespace: were it shared between files, the
// linker could hand the code of one instruction set to another.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "strata/framework/index.hpp"

namespace strata::kernels {
namespace {

#if defined(__AVX512F__)
constexpr Index kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr Index kVectorBytes = 32;
#else
constexpr Index kVectorBytes = 16;
#endif
template <class T>
constexpr Index kMostLanes = kVectorBytes / static_cast<Index>(sizeof(T));

template <class T, Index kLanes>
struct VectorOf {
  typedef T type __attribute__((vector_size(kLanes * sizeof(T))));
};
template <class T, Index kLanes>
using Vector = typename VectorOf<T, kLanes>::type;

template <class V, class T>
inline V load(const T* x) {
  V values;
  std::memcpy(&values, x, sizeof(V));
  return values;
}

template <class V, class T>
inline void store(const V& values, T* x) {
  std::memcpy(x, &values, sizeof(V));
}

// A place beside a value of type T, of the same size.
template <class T>
using Place = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

// Converts places. GCC has instructions for a change of the size by two; for others it would go element by
// element.
template <class To, Index kLanes, class From>
inline Vector<To, kLanes> convert(From places) {
  constexpr Index kBytes = static_cast<Index>(sizeof(From)) / kLanes,
                  kWanted = static_cast<Index>(sizeof(To));
  if constexpr (kBytes > 2 * kWanted) {
    using Half = std::conditional_t<kBytes == 8, std::uint32_t, std::uint16_t>;
    return convert<To, kLanes>(__builtin_convertvector(places, Vector<Half, kLanes>));
  } else if constexpr (2 * kBytes < kWanted) {
    using Double = std::conditional_t<kBytes == 1, std::uint16_t, std::uint32_t>;
    return convert<To, kLanes>(__builtin_convertvector(places, Vector<Double, kLanes>));
  } else {
    return __builtin_convertvector(places, Vector<To, kLanes>);
  }
}

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
