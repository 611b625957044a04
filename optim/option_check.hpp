// One message for every option that is outside its range.
#pragma once

namespace strata::detail {

/// Unless `ok`, throws ArgumentError: "Adam: beta1 must be in [0, 1), got 1.5".
void check_option(bool ok, const char* owner, const char* option, const char* range, double value);

}  // namespace strata::detail
