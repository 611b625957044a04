#include <algorithm>
#include <cmath>
#include <cstdint>

#include <gtest/gtest.h>

#include "strata/framework/io/half.hpp"

namespace strata {
namespace {

// Every number of 16 bits against the standard's definition: (-1)^sign * 2^(exponent - bias) * 1.mantissa,
// and for exponent 0 2^(1 - bias) * 0.mantissa.
template <class Convert>
void expect_all(const Convert& convert, int exponent_bits) {
  const int mantissa_bits = 15 - exponent_bits;
  const int most = (1 << exponent_bits) - 1, bias = most / 2;
  for (int bits = 0; bits < 1 << 16; ++bits) {
    const float value = convert(static_cast<std::uint16_t>(bits));
    const int exponent = bits >> mantissa_bits & most;
    const long double fraction =
        static_cast<long double>(bits & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits);
    ASSERT_EQ(std::signbit(value), bits >> 15 != 0) << bits;
    if (exponent == most && fraction != 0) {
      ASSERT_TRUE(std::isnan(value)) << bits;
    } else if (exponent == most) {
      ASSERT_TRUE(std::isinf(value)) << bits;
    } else {
      const long double magnitude =
          std::ldexp(exponent == 0 ? fraction : 1 + fraction, std::max(exponent, 1) - bias);
      ASSERT_EQ(static_cast<long double>(std::abs(value)), magnitude) << bits;
    }
  }
}

TEST(Half, EveryNumberOfBinary16) {
  expect_all(detail::from_f16, 5);
}

TEST(Half, EveryNumberOfBfloat16) {
  expect_all(detail::from_bf16, 8);
}

}  // namespace
}  // namespace strata
