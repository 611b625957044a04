// Depthwise convolution of narrow planes, for float. Over the grouped one:
//   1. whole planes as single rows, one behind the other: rows of 8 or 16 columns fill vectors. A layer takes
//      0.5 of the time on planes of 8x8 and 0.8 on 16x16 (AVX2, one thread), a network of a single image 0.9
//      to 0.96.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <numeric>
#include <vector>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/convolution/algorithms.hpp"
#include "strata/layers/kernels/convolution/depthwise.hpp"
#include "strata/layers/kernels/convolution/pixels.hpp"
#include "strata/layers/kernels/product/row_blocks.hpp"
#include "strata/layers/kernels/scratch.hpp"

namespace strata::kernels {
namespace {

// Taps and masks of a filter for planes of a size.
class Geometry {
 public:
  explicit Geometry(const ConvolutionShape& s)
      : plane(s.in_size()),
        mask_size_(round_up(plane, table<PixelLayout>().lanes)),
        margin_(s.padding.h * s.in.w + s.padding.w),
        bits_(static_cast<std::size_t>(s.kernel.w * mask_size_)),
        masks_(static_cast<std::size_t>(s.kernel.w)) {
    for (Index j = 0; j < s.kernel.w; ++j) {
      const Index shift = j * s.dilation.w - s.padding.w;
      if (shift == 0) continue;
      float* const bits = &bits_[static_cast<std::size_t>(j * mask_size_)];
      for (Index p = 0; p < plane; ++p) {
        const Index column = p % s.in.w + shift;
        bits[p] = std::bit_cast<float>(column >= 0 && column < s.in.w ? ~std::uint32_t{0} : 0);
      }
      masks_[static_cast<std::size_t>(j)] = bits;
    }
    taps = {s.kernel.h, s.kernel.w, -margin_, s.dilation.h * s.in.w, s.dilation.w, masks_.data()};
  }
  Geometry(const Geometry&) = delete;

  Index plane;  // elements of a plane
  DepthwiseTaps taps;

  /// A plane with zeros around it.
  class Room {
   public:
    explicit Room(const Geometry& geometry)
        : geometry_(geometry),
          scratch_(2 * geometry.margin_ + geometry.mask_size_),
          first_(scratch_.data() + geometry.margin_) {
      std::fill_n(scratch_.data(), 2 * geometry.margin_ + geometry.mask_size_, 0.0f);
    }
    const float* hold(const float* plane) {
      std::copy_n(plane, geometry_.plane, first_);
      return first_;
    }

   private:
    const Geometry& geometry_;
    Scratch<float> scratch_;
    float* const first_;
  };

 private:
  Index mask_size_;
  Index margin_;  // how far the first tap is before a pixel, and the last one behind it
  std::vector<float> bits_;
  std::vector<const float*> masks_;
};

// Planes that are worth a piece of work.
Index grain(const ConvolutionShape& s) {
  constexpr Index kMultiplyAdds = Index{1} << 18;
  return std::max<Index>(1, kMultiplyAdds / (s.in_size() * s.filter_size()));
}

void correlate(const ConvolutionShape& s, const float* x, const float* weight, const float* bias, float* y) {
  const Geometry g(s);
  parallel_ranges(s.batch * s.in_channels, grain(s), [&](Index begin, Index end) {
    Geometry::Room room(g);
    for (Index i = begin; i < end; ++i) {
      const Index c = i % s.in_channels;
      table<Depthwise>().correlate(room.hold(x + i * g.plane), g.taps, weight + c * s.filter_size(),
                                   bias ? bias[c] : 0.0f, y + i * g.plane, g.plane);
    }
  });
}

// Measured: of wider planes the grouped convolution, which loads a row once for all its taps, is faster.
// Planes of one size may be padded otherwise at their ends, by a transposed convolution's output_padding.
bool can(const ConvolutionShape& s) {
  constexpr Index kWidest = 16, kLargest = Index{1} << 15;
  const Size2D reach(s.dilation.h * (s.kernel.h - 1), s.dilation.w * (s.kernel.w - 1));
  return s.groups == s.in_channels && s.out_channels == s.in_channels && s.stride == Size2D(1) &&
         s.in == s.out && Size2D(2 * s.padding.h, 2 * s.padding.w) == reach && s.in.w <= kWidest &&
         s.in_size() <= kLargest;
}

bool can_backward_data(const ConvolutionShape& s, ImageLayout /*dx*/) {
  return can(s);
}

void forward(const ConvolutionShape& s, const ImageSource<float>& x, const float* weight, const float* bias,
             const ImageSink<float>& y) {
  correlate(s, x.tensor(), weight, bias, y.tensor);
}

// Sizes are the same, and the paddings on both sides too: dx is the correlation of dy with the filters turned
// by 180 degrees.
void backward_data(const ConvolutionShape& s, const ImageSource<float>& dy, const float* weight,
                   const float* bias, const ImageSink<float>& dx) {
  const Scratch<float> turned(s.in_channels * s.filter_size());
  for (Index c = 0; c < s.in_channels; ++c)
    std::reverse_copy(weight + c * s.filter_size(), weight + (c + 1) * s.filter_size(),
                      turned.data() + c * s.filter_size());
  correlate(s, dy.tensor(), turned.data(), bias, dx.tensor);
}

void backward_weights(const ConvolutionShape& s, const ImageSource<float>& x, const ImageSource<float>& dy,
                      float* dweight) {
  const Geometry g(s);
  const Index lanes = table<PixelLayout>().lanes, taps = s.filter_size(), sums_size = taps * lanes;
  const Partials parts(s.batch, s.in_channels * sums_size * Index{sizeof(float)});
  Scratch<float> sums(parts.count * s.in_channels * sums_size);  // [part][channel][tap][lane]
  parallel_ranges(parts.count * s.in_channels, std::max<Index>(1, grain(s) / parts.blocks_each),
                  [&](Index begin, Index end) {
                    Geometry::Room x_room(g), dy_room(g);
                    for (Index i = begin; i < end; ++i) {
                      const Index c = i % s.in_channels, first = i / s.in_channels * parts.blocks_each;
                      float* const sum = sums.data() + i * sums_size;
                      std::fill_n(sum, sums_size, 0.0f);
                      for (Index n = first; n < std::min(first + parts.blocks_each, s.batch); ++n) {
                        const Index plane = (n * s.in_channels + c) * g.plane;
                        table<Depthwise>().add_products(x_room.hold(x.tensor() + plane), g.taps,
                                                        dy_room.hold(dy.tensor() + plane), g.plane, sum);
                      }
                    }
                  });
  for (Index i = 0; i < s.in_channels * taps; ++i) {
    float total = 0;
    for (Index part = 0; part < parts.count; ++part) {
      const float* const of_part = sums.data() + part * s.in_channels * sums_size + i * lanes;
      total += std::accumulate(of_part, of_part + lanes, 0.0f);
    }
    dweight[i] = total;
  }
}

}  // namespace

constinit const ConvolutionAlgorithm<float> kDepthwise{"depthwise",   can, forward,         can_backward_data,
                                                       backward_data, can, backward_weights};

}  // namespace strata::kernels
