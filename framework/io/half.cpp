#include "strata/framework/io/half.hpp"

#include <bit>
#include <cmath>

namespace strata::detail {

float from_f16(std::uint16_t bits) {
  const std::uint32_t sign = bits >> 15, exponent = bits >> 10 & 0x1f, mantissa = bits & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign << 31 | 0x7f800000U | mantissa << 13);
  // Subnormal numbers have the exponent of the least normal ones, and no leading 1.
  const float magnitude =
      exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                    : std::ldexp(static_cast<float>(0x400 + mantissa), static_cast<int>(exponent) - 25);
  return sign ? -magnitude : magnitude;
}

float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

}  // namespace strata::detail
