#include <gtest/gtest.h>

#include "strata/strata.hpp"

namespace strata {
namespace {

TEST(Dropout, MaskIsThatOfTheRandomStream) {
  Dropout<double> layer(0.25);
  layer.initialize(3);
  const auto seed = static_cast<std::uint64_t>(*std::get<std::int64_t*>(layer.named_buffers()[0].value));
  for (std::uint64_t step = 0; step < 2; ++step) {
    const auto y = layer.forward(full<double>({1003}, 1.0));
    for (std::size_t i = 0; i < y.size(); ++i) {
      const bool kept = Random(seed, step).block(i / 4)[i % 4] >= 0x40000000u;
      ASSERT_EQ(y(i), kept ? 1 / 0.75 : 0) << i;
    }
  }
}

}  // namespace
}  // namespace strata
