// The exceptions that Strata throws. Each message names the layer or file, what was expected and what came.
#pragma once

#include <stdexcept>

#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A tensor does not have the shape that a layer, a loss or a function needs.
struct ShapeError : Error {
  using Error::Error;
};

/// An option or argument is outside its range.
struct ArgumentError : Error {
  using Error::Error;
};

/// A call came out of order, such as backward before forward.
struct StateError : Error {
  using Error::Error;
};

/// A Graph or Sequential is not well formed: a cycle, an unknown or a duplicate name.
struct GraphError : Error {
  using Error::Error;
};

/// A file is missing or does not hold what it should.
struct DataError : Error {
  using Error::Error;
};

/// A value became NaN or infinite.
struct NotFiniteError : Error {
  using Error::Error;
};

}  // namespace strata
