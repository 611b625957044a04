#include "strata/optim/option_check.hpp"

#include <sstream>

#include "strata/framework/error.hpp"

namespace strata::detail {

void check_option(bool ok, const char* owner, const char* option, const char* range, double value) {
  if (ok) return;
  std::ostringstream message;
  message << owner << ": " << option << " must be " << range << ", got " << value;
  throw ArgumentError(message.str());
}

}  // namespace strata::detail
