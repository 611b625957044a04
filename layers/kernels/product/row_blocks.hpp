// How the Winograd and the direct convolution cut a batch into pieces of work, and their working memory.
#pragma once

#include <algorithm>
#include <bit>

#include "strata/framework/size_2d.hpp"
#include "strata/layers/kernels/convolution/pixels.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/scratch.hpp"

namespace strata::kernels {

/// Some rows of one image, or all of several images.
struct RowBlock {
  Index image;
  Index images;
  Index first_row;
  Index rows;
  Index group;  ///< the number of its image, or images
};

/// A batch of images of `rows` rows, cut into blocks of about `rows_a_block` rows. Blocks of several images
/// differ by one image at most. As far as rows and images allow, blocks are of an even number, which most
/// numbers of threads share evenly.
class RowBlocks {
 public:
  RowBlocks(Index batch, Index rows, Index rows_a_block) : batch_(batch), rows_(rows) {
    const Index images = std::clamp<Index>(rows_a_block / rows, 1, batch);
    if (images > 1) {
      const Index count = ceil_div(batch, images);
      groups_ = count == 1 ? 1 : round_up(count, 2);
      rows_a_block_ = rows;
    } else {
      Index parts = ceil_div(rows, std::max<Index>(rows_a_block, 1));
      if (parts > 1 && batch % 2 != 0) parts = round_up(parts, 2);
      groups_ = batch;
      rows_a_block_ = ceil_div(rows, parts);
      parts_ = ceil_div(rows, rows_a_block_);
    }
  }

  Index count() const { return groups_ * parts_; }
  /// Of images.
  Index groups() const { return groups_; }
  /// Whether an image is cut into several blocks.
  bool split_images() const { return parts_ > 1; }
  /// Of one image.
  Index max_rows() const { return rows_a_block_; }
  Index max_images() const { return ceil_div(batch_, groups_); }

  RowBlock operator[](Index i) const {
    const Index group = i / parts_, image = batch_ * group / groups_;
    const Index first_row = i % parts_ * rows_a_block_;
    return {image, batch_ * (group + 1) / groups_ - image, first_row,
            std::min(rows_a_block_, rows_ - first_row), group};
  }

 private:
  Index batch_;
  Index rows_;
  Index groups_;  // of images
  Index rows_a_block_;
  Index parts_ = 1;  // of an image
};

/// A sum over `blocks` blocks, cut into partial sums that are computed apart: their number must depend on
/// the problem alone, so that the order of the additions does. Each costs memory and time to add.
struct Partials {
  Partials(Index blocks, Index bytes_each)
      : blocks_each(ceil_div(blocks, wanted(bytes_each))), count(ceil_div(blocks, blocks_each)) {}

  // A power of two, which most numbers of threads share evenly.
  static Index wanted(Index bytes_each) {
    return static_cast<Index>(
        std::bit_floor(static_cast<std::size_t>(std::clamp<Index>((Index{4} << 20) / bytes_each, 2, 16))));
  }

  Index blocks_each;
  Index count;
};

/// An activation (batch, channels, size.h, size.w).
template <class T>
struct Planes {
  T* data;
  Index channels;
  Size2D size;

  Index plane() const { return size.h * size.w; }
  T* at(Index image, Index row, Index channel = 0) const {
    return data + (image * channels + channel) * plane() + row * size.w;
  }
  /// Row `row` of an image, were they images of pixels.
  Pixels pixels(Index image, Index row) const {
    return {const_cast<float*>(data) + (image * size.h + row) * size.w * channels, size.w * channels,
            channels};
  }
};

/// Those of the rows [first, first + count) that lie in an image.
struct RowRange {
  RowRange(Index first, Index count, Index height)
      : begin(std::max<Index>(0, first)), end(std::min(height, first + count)) {}
  Index count() const { return end - begin; }
  /// The same rows, counted from row `first`.
  RowRange from(Index first) const { return {begin - first, end - begin, end - first}; }
  bool operator==(const RowRange&) const = default;

  Index begin;
  Index end;
};

/// Pixels in someone's memory.
class PixelRoom {
 public:
  static Index size(Index rows, Index columns, Index channels) { return rows * columns * channels; }
  PixelRoom(float* memory, Index rows, Index columns, Index channels)
      : size_(size(rows, columns, channels)), view_{memory, columns * channels, channels} {}

  void clear() { std::fill_n(view_.data, size_, 0.0f); }
  void clear_rows(Index begin, Index end) {
    if (begin < end)
      std::fill(view_.data + begin * view_.row_stride, view_.data + end * view_.row_stride, 0.0f);
  }
  /// All but the columns [left, left + columns) of `rows`.
  void clear_around(const RowRange& rows, Index left, Index columns) {
    if (rows.count() <= 0) return clear();
    const Index begin = left * view_.channels, end = begin + columns * view_.channels;
    float* row = view_.data + rows.begin * view_.row_stride;
    std::fill(view_.data, row + begin, 0.0f);
    for (Index r = rows.begin + 1; r < rows.end; ++r, row += view_.row_stride)
      std::fill(row + end, row + view_.row_stride + begin, 0.0f);
    std::fill(row + end, view_.data + size_, 0.0f);
  }
  /// All but these columns of all rows.
  void clear_beside(Index left, Index columns) {
    clear_around({0, size_ / view_.row_stride, size_ / view_.row_stride}, left, columns);
  }
  const Pixels& view() const { return view_; }
  Pixels at(Index row, Index column) const { return view_.at(row, column); }

 private:
  Index size_;
  Pixels view_;
};

/// Pixels in memory of their own.
class PixelScratch : private Scratch<float>, public PixelRoom {
 public:
  PixelScratch(Index rows, Index columns, Index channels)
      : Scratch<float>(size(rows, columns, channels)), PixelRoom(data(), rows, columns, channels) {}
};

}  // namespace strata::kernels
