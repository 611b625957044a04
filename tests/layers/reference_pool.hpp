// Pooling by the plain loops of its formulas.
#pragma once

#include <array>
#include <vector>

#include "strata/strata.hpp"

namespace strata::testing {

struct PoolCase {
  Shape shape;
  Size2D window, stride, padding;
};

/// Maximum pooling as the formula says: pad with -infinity, then take the first maximum of each window.
template <class T>
void reference_max_pool(const PoolCase& c, const Tensor<T>& x, const Tensor<T>& dy, Tensor<T>& y,
                        Tensor<T>& dx) {
  y = empty<T>(dy.shape());
  dx = full<T>(x.shape(), T{0});
  const auto h = static_cast<Index>(x.shape()[2]), w = static_cast<Index>(x.shape()[3]);
  for (std::size_t n = 0; n < y.shape()[0]; ++n)
    for (std::size_t ch = 0; ch < y.shape()[1]; ++ch)
      for (std::size_t i = 0; i < y.shape()[2]; ++i)
        for (std::size_t j = 0; j < y.shape()[3]; ++j) {
          Index best_row = -1, best_column = -1;
          for (Index r = 0; r < c.window.h; ++r)
            for (Index s = 0; s < c.window.w; ++s) {
              const Index row = static_cast<Index>(i) * c.stride.h + r - c.padding.h;
              const Index column = static_cast<Index>(j) * c.stride.w + s - c.padding.w;
              if (row < 0 || row >= h || column < 0 || column >= w) continue;
              if (best_row < 0 || x(n, ch, row, column) > x(n, ch, best_row, best_column)) {
                best_row = row;
                best_column = column;
              }
            }
          y(n, ch, i, j) = x(n, ch, best_row, best_column);
          dx(n, ch, best_row, best_column) += dy(n, ch, i, j);
        }
}

/// Average pooling: over the window's pixels, or over those inside of the image.
inline void reference_avg_pool(const PoolCase& c, bool count_include_pad, const Tensor<double>& x,
                               const Tensor<double>& dy, Tensor<double>& y, Tensor<double>& dx) {
  y = full<double>(dy.shape(), 0);
  dx = full<double>(x.shape(), 0);
  const auto h = static_cast<Index>(x.shape()[2]), w = static_cast<Index>(x.shape()[3]);
  for (std::size_t n = 0; n < y.shape()[0]; ++n)
    for (std::size_t ch = 0; ch < y.shape()[1]; ++ch)
      for (std::size_t i = 0; i < y.shape()[2]; ++i)
        for (std::size_t j = 0; j < y.shape()[3]; ++j) {
          std::vector<std::array<Index, 2>> inside;
          for (Index r = 0; r < c.window.h; ++r)
            for (Index s = 0; s < c.window.w; ++s) {
              const Index row = static_cast<Index>(i) * c.stride.h + r - c.padding.h;
              const Index column = static_cast<Index>(j) * c.stride.w + s - c.padding.w;
              if (row >= 0 && row < h && column >= 0 && column < w) inside.push_back({row, column});
            }
          const double divisor = count_include_pad ? static_cast<double>(c.window.h * c.window.w)
                                                   : static_cast<double>(inside.size());
          for (const auto& [row, column] : inside) {
            y(n, ch, i, j) += x(n, ch, row, column) / divisor;
            dx(n, ch, row, column) += dy(n, ch, i, j) / divisor;
          }
        }
}

}  // namespace strata::testing
