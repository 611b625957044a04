// Max pooling of pixels. Over the one of planes: channels lie innermost, so that every window of any stride
// is vectors that are loaded as they lie.
#include "strata/layers/kernels/pooling/max_pool_pixels.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/pooling/max_pool_vectors.hpp"

namespace strata::kernels {
namespace {

// The size of a square window that is known only at run time.
constexpr Index kAny = 0;

// The part of a window that lies in the image. With a kSize all of it does.
template <Index kSize>
struct Window {
  Window(Index oy, Index ox, const PoolGeometry& g)
      : top(oy * g.sh - g.ph),
        left(ox * g.sw - g.pw),
        row_begin(kSize != kAny ? 0 : larger(0, -top)),
        row_end(kSize != kAny ? kSize : smaller(g.kh, g.h - top)),
        column_begin(kSize != kAny ? 0 : larger(0, -left)),
        column_end(kSize != kAny ? kSize : smaller(g.kw, g.w - left)) {}

  Index top, left;
  Index row_begin, row_end;
  Index column_begin, column_end;
};

// Whether windows cover an image without padding, gap or overlap.
inline bool is_tiled(const PoolGeometry& g) {
  return g.ph == 0 && g.pw == 0 && g.kh == g.sh && g.kw == g.sw && g.h == g.kh * g.out_h &&
         g.w == g.kw * g.out_w;
}

template <Index kSize, class T, class Position>
void forward_in(const T* x, T* y, Position* positions, Index images, Index channels, PoolGeometry g) {
  constexpr Index kLanes = kMostLanes<T>;
  using Values = Vector<T, kLanes>;
  if constexpr (kSize != kAny) g.kh = g.kw = kSize;
  for (Index n = 0; n < images; ++n, x += g.h * g.w * channels)
    for (Index oy = 0; oy < g.out_h; ++oy)
      for (Index ox = 0; ox < g.out_w; ++ox, y += channels, positions += channels) {
        const Window<kSize> window(oy, ox, g);
        for (Index c = 0; c < channels; c += kLanes) {
          const auto value = [&](Index row, Index column) {
            return load<Values>(x + ((window.top + row) * g.w + window.left + column) * channels + c);
          };
          Maxima<T, kLanes> maxima(value(window.row_begin, window.column_begin),
                                   window.row_begin * g.kw + window.column_begin);
          for (Index row = window.row_begin; row < window.row_end; ++row)
            for (Index column = window.column_begin; column < window.column_end; ++column)
              maxima.meet(value(row, column), row * g.kw + column);
          maxima.write(y + c, positions + c);
        }
      }
}

template <class T, class Position>
void forward(const T* x, T* y, Position* positions, Index images, Index channels, const PoolGeometry& g) {
  if (g.kh == 2 && g.kw == 2 && is_tiled(g)) return forward_in<2>(x, y, positions, images, channels, g);
  forward_in<kAny>(x, y, positions, images, channels, g);
}

// `once`: every value of dx is written once.
template <Index kSize, bool once, class T, class Position>
void backward_in(const T* dy, const Position* positions, T* dx, Index images, Index channels,
                 PoolGeometry g) {
  constexpr Index kLanes = kMostLanes<T>;
  using Values = Vector<T, kLanes>;
  if constexpr (kSize != kAny) g.kh = g.kw = kSize;
  const Index size = g.h * g.w * channels;
  for (Index n = 0; n < images; ++n, dx += size) {
    if constexpr (!once) std::memset(dx, 0, static_cast<std::size_t>(size) * sizeof(T));
    for (Index oy = 0; oy < g.out_h; ++oy)
      for (Index ox = 0; ox < g.out_w; ++ox, dy += channels, positions += channels) {
        const Window<kSize> window(oy, ox, g);
        for (Index c = 0; c < channels; c += kLanes) {
          const Gradients<T, kLanes> gradients(dy + c, positions + c);
          for (Index row = window.row_begin; row < window.row_end; ++row)
            for (Index column = window.column_begin; column < window.column_end; ++column) {
              T* const to = dx + ((window.top + row) * g.w + window.left + column) * channels + c;
              const Values here = gradients.at(row * g.kw + column);
              store(once ? here : load<Values>(to) + here, to);
            }
        }
      }
  }
}

template <class T, class Position>
void backward(const T* dy, const Position* positions, T* dx, Index images, Index channels,
              const PoolGeometry& g) {
  if (!is_tiled(g)) return backward_in<kAny, false>(dy, positions, dx, images, channels, g);
  if (g.kh == 2 && g.kw == 2) return backward_in<2, true>(dy, positions, dx, images, channels, g);
  backward_in<kAny, true>(dy, positions, dx, images, channels, g);
}

template <class T, class Position>
constexpr MaxPoolPixels<T, Position> kTable{forward<T, Position>, backward<T, Position>};

}  // namespace

STRATA_KERNEL_TABLE(kTable<float, std::uint8_t>);
STRATA_KERNEL_TABLE(kTable<float, std::uint32_t>);

}  // namespace strata::kernels
