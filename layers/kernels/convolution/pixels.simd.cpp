// Over a plain loop: squares of vectors are transposed in registers, so that memory is read and written in
// vectors on both sides.
#include "strata/layers/kernels/convolution/pixels.hpp"

#include <utility>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/simd/xsimd.hpp"

namespace strata::kernels {
namespace {

using Vector = xsimd::batch<float>;
constexpr Index kLanes = static_cast<Index>(Vector::size);

// x_0 y_0 x_1 y_1 …: the first half (offset 0) or the second (offset kLanes / 2) of the elements of x and y.
// xsimd's zip functions interleave within 128-bit lanes on some instruction sets.
template <int offset, int... i>
inline Vector interleave(Vector x, Vector y, std::integer_sequence<int, i...>) {
  return Vector(
      __builtin_shufflevector(x.data, y.data, (offset + i / 2 + i % 2 * static_cast<int>(kLanes))...));
}

// Transposes a square: each round interleaves row i with row i + kLanes / 2.
inline void transpose(Vector (&rows)[kLanes]) {
  constexpr auto lanes = std::make_integer_sequence<int, static_cast<int>(kLanes)>();
  for (Index round = 1; round < kLanes; round *= 2) {
    Vector next[kLanes];
    for (Index i = 0; i < kLanes / 2; ++i) {
      next[2 * i] = interleave<0>(rows[i], rows[i + kLanes / 2], lanes);
      next[2 * i + 1] = interleave<static_cast<int>(kLanes) / 2>(rows[i], rows[i + kLanes / 2], lanes);
    }
    for (Index i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
}

// Walks over the pixels of rows of a given width.
class PixelWalk {
 public:
  PixelWalk(const Pixels& pixels, Index width, Index first)
      : channels_(pixels.channels),
        row_stride_(pixels.row_stride),
        width_(width),
        row_(first / width * row_stride_),
        column_(first % width) {}

  // The offset of the current pixel; goes on to the next.
  Index next() {
    const Index offset = row_ + column_ * channels_;
    if (++column_ == width_) {
      column_ = 0;
      row_ += row_stride_;
    }
    return offset;
  }

 private:
  Index channels_;
  Index row_stride_;
  Index width_;
  Index row_;
  Index column_;
};

// Calls block(c, channels, p, walk) for every square of kLanes channels, of which `channels` exist, and
// kLanes pixels. The last square overlaps the one before it rather than be cut; there must be at least kLanes
// pixels.
template <class Block>
[[gnu::always_inline]] inline void for_each_square(const Pixels& pixels, Index channels, Index count,
                                                   Index width, const Block& block) {
  for (Index c = 0; c < pixels.channels; c += kLanes) {
    const Index real = channels - c < kLanes ? channels - c : kLanes;
    PixelWalk walk(pixels, width, 0);
    Index p = 0;
    for (; p + kLanes <= count; p += kLanes) block(c, real, p, walk);
    if (p == count) continue;
    PixelWalk last(pixels, width, count - kLanes);
    block(c, real, count - kLanes, last);
  }
}

void to_pixels(const float* planes, Index plane, Index channels, Index rows, Index width, Pixels pixels) {
  const Index count = rows * width;
  if (count < kLanes || pixels.channels % kLanes != 0) {
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < pixels.channels; ++c) {
        float* pixel = pixels.data + r * pixels.row_stride + c;
        const float* first = planes + c * plane + r * width;
        for (Index q = 0; q < width; ++q, pixel += pixels.channels) *pixel = c < channels ? first[q] : 0.0f;
      }
    return;
  }
  for_each_square(pixels, channels, count, width, [=](Index c, Index real, Index p, PixelWalk& walk) {
    const float* first = planes + c * plane + p;
    Vector square[kLanes];
    if (real == kLanes) {
      for (Index i = 0; i < kLanes; ++i) square[i] = Vector::load_unaligned(first + i * plane);
    } else {
      for (Index i = 0; i < kLanes; ++i)
        square[i] = i < real ? Vector::load_unaligned(first + i * plane) : Vector(0.0f);
    }
    transpose(square);
    for (Index i = 0; i < kLanes; ++i) square[i].store_aligned(pixels.data + walk.next() + c);
  });
}

void from_pixels(Pixels pixels, const float* bias, float* planes, Index plane, Index channels, Index rows,
                 Index width) {
  const Index count = rows * width;
  if (count < kLanes) {
    PixelWalk walk(pixels, width, 0);
    for (Index p = 0; p < count; ++p) {
      const float* pixel = pixels.data + walk.next();
      for (Index c = 0; c < channels; ++c) planes[c * plane + p] = pixel[c] + (bias ? bias[c] : 0.0f);
    }
    return;
  }
  for_each_square(pixels, channels, count, width, [=](Index c, Index real, Index p, PixelWalk& walk) {
    Vector square[kLanes];
    for (Index i = 0; i < kLanes; ++i) square[i] = Vector::load_aligned(pixels.data + walk.next() + c);
    transpose(square);
    float* first = planes + c * plane + p;
    const auto put = [&](Index i) {
      (square[i] + Vector(bias ? bias[c + i] : 0.0f)).store_unaligned(first + i * plane);
    };
    if (real == kLanes) {
      for (Index i = 0; i < kLanes; ++i) put(i);
    } else {
      for (Index i = 0; i < real; ++i) put(i);
    }
  });
}

// Not memmove, which may take an instruction for it that is slow where the two lie alike in their pages.
void copy(Pixels from, Index channels, Index rows, Index width, Pixels to) {
  if (from.channels == channels && to.channels == channels) {
    channels *= width;
    width = 1;
  }
  for (Index r = 0; r < rows; ++r)
    for (Index q = 0; q < width; ++q) {
      const float* x = from.at(r, q).data;
      float* y = to.at(r, q).data;
      for (Index c = 0; c < channels; c += kLanes) Vector::load_aligned(x + c).store_aligned(y + c);
    }
}

constexpr PixelLayout kTable{kLanes, to_pixels, from_pixels, copy};

}  // namespace

STRATA_KERNEL_TABLE(kTable);

}  // namespace strata::kernels
