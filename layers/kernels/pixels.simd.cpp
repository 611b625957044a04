#include "strata/layers/kernels/pixels.hpp"

#include <utility>

#include <xsimd/xsimd.hpp>

#include "strata/framework/instruction_set.hpp"

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

// Walks over the pixels of rows of a given width in groups of kLanes.
class PixelWalk {
 public:
  PixelWalk(const Pixels& pixels, Index width) : pixels_(pixels), width_(width) {}

  // The offset of the current pixel; goes on to the next.
  Index next() {
    const Index offset = row_ + column_ * pixels_.channels;
    if (++column_ == width_) {
      column_ = 0;
      row_ += pixels_.row_stride;
    }
    return offset;
  }

 private:
  const Pixels& pixels_;
  Index width_;
  Index row_ = 0;
  Index column_ = 0;
};

void to_pixels(const float* planes, Index plane, Index channels, Index rows, Index width, Pixels pixels) {
  const Index count = rows * width;
  for (Index c = 0; c < pixels.channels; c += kLanes) {
    const Index real = channels - c < kLanes ? channels - c : kLanes;
    PixelWalk walk(pixels, width);
    for (Index p = 0; p < count; p += kLanes) {
      const Index here = count - p < kLanes ? count - p : kLanes;
      const float* first = planes + c * plane + p;
      Vector square[kLanes];
      if (real == kLanes && here == kLanes) {
        for (Index i = 0; i < kLanes; ++i) square[i] = Vector::load_unaligned(first + i * plane);
      } else {
        alignas(64) float copy[kLanes][kLanes] = {};
        for (Index i = 0; i < real; ++i)
          for (Index j = 0; j < here; ++j) copy[i][j] = first[i * plane + j];
        for (Index i = 0; i < kLanes; ++i) square[i] = Vector::load_aligned(copy[i]);
      }
      transpose(square);
      const Index room = pixels.channels - c;
      if (room >= kLanes && here == kLanes) {
        for (Index i = 0; i < kLanes; ++i) square[i].store_unaligned(pixels.data + walk.next() + c);
      } else if (room >= kLanes) {
        for (Index i = 0; i < here; ++i) square[i].store_unaligned(pixels.data + walk.next() + c);
      } else {
        alignas(64) float copy[kLanes];
        for (Index i = 0; i < here; ++i) {
          square[i].store_aligned(copy);
          float* pixel = pixels.data + walk.next() + c;
          for (Index lane = 0; lane < room; ++lane) pixel[lane] = copy[lane];
        }
      }
    }
  }
}

void from_pixels(Pixels pixels, const float* bias, float* planes, Index plane, Index channels, Index rows,
                 Index width) {
  const Index count = rows * width;
  for (Index c = 0; c < channels; c += kLanes) {
    const Index real = channels - c < kLanes ? channels - c : kLanes;
    alignas(64) float offsets[kLanes] = {};
    if (bias)
      for (Index i = 0; i < real; ++i) offsets[i] = bias[c + i];
    const Vector offset = Vector::load_aligned(offsets);
    PixelWalk walk(pixels, width);
    for (Index p = 0; p < count; p += kLanes) {
      const Index here = count - p < kLanes ? count - p : kLanes;
      float* first = planes + c * plane + p;
      Vector square[kLanes];
      if (here == kLanes) {
        for (Index i = 0; i < kLanes; ++i)
          square[i] = Vector::load_aligned(pixels.data + walk.next() + c) + offset;
      } else {
        for (Index i = 0; i < kLanes; ++i)
          square[i] = i < here ? Vector::load_aligned(pixels.data + walk.next() + c) + offset : offset;
      }
      transpose(square);
      if (real == kLanes && here == kLanes) {
        for (Index i = 0; i < kLanes; ++i) square[i].store_unaligned(first + i * plane);
      } else {
        alignas(64) float copy[kLanes][kLanes];
        for (Index i = 0; i < kLanes; ++i) square[i].store_aligned(copy[i]);
        for (Index i = 0; i < real; ++i)
          for (Index j = 0; j < here; ++j) first[i * plane + j] = copy[i][j];
      }
    }
  }
}

constexpr PixelLayout kTable{kLanes, to_pixels, from_pixels};

}  // namespace

template <>
const PixelLayout& compiled_for<PixelLayout, InstructionSet::STRATA_ISA>() {
  return kTable;
}

}  // namespace strata::kernels
