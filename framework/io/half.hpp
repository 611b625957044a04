// Numbers of 16 bits, as files hold them. float has each of them exactly.
#pragma once

#include <cstdint>

namespace strata::detail {

/// IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of mantissa. A NaN stays one.
float from_f16(std::uint16_t bits);

/// The upper half of a float.
float from_bf16(std::uint16_t bits);

}  // namespace strata::detail
