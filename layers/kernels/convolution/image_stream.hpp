// Images that go from one kernel to the next while they are in the cache.
#pragma once

#include <functional>
#include <utility>

#include "strata/framework/graph/image_layout.hpp"
#include "strata/framework/index.hpp"

namespace strata::kernels {

/// The images that a convolution reads: those of a tensor, or images that are made as they are needed.
template <class T>
class ImageSource {
 public:
  /// Writes an image; the rows of pixels lie `row_stride` apart. Called from several threads at once.
  using Make = std::function<void(Index image, T* to, Index row_stride)>;

  ImageSource(const T* tensor, ImageLayout layout = ImageLayout::planes) : tensor_(tensor), layout_(layout) {}
  /// `memory`, if given, is where images may be kept for a second reader, each in its place and without gaps.
  /// What an image is made from may lie there too: it is made once then.
  ImageSource(Make make, ImageLayout layout, T* memory = nullptr)
      : make_(std::move(make)), memory_(memory), layout_(layout) {}

  ImageLayout layout() const { return layout_; }
  /// Null if images are made.
  const T* tensor() const { return tensor_; }
  /// Whether images are to be had by `make` alone.
  bool needs_room() const { return !tensor_ && !kept_; }
  void make(Index image, T* to, Index row_stride) const { make_(image, to, row_stride); }
  /// An image in memory, else; its rows of pixels are `row_size` long.
  const T* at(Index image, Index size, Index row_size) const {
    if (tensor_) return tensor_ + image * size;
    make_(image, memory_ + image * size, row_size);
    return memory_ + image * size;
  }

  /// For the first of two readers, which keeps what it makes, and for the second.
  ImageSource kept() const {
    ImageSource source = *this;
    source.kept_ = memory_ != nullptr;
    return source;
  }
  ImageSource as_kept() const { return memory_ ? ImageSource(memory_, layout_) : *this; }

 private:
  const T* tensor_ = nullptr;
  Make make_;
  T* memory_ = nullptr;
  ImageLayout layout_ = ImageLayout::planes;
  bool kept_ = false;
};

/// The tensor that takes a convolution's images.
template <class T>
struct ImageSink {
  /// Is told of images [first, first + count) when they are complete, from several threads at once.
  using Done = std::function<void(Index first, Index count)>;

  ImageSink(T* tensor_, ImageLayout layout_ = ImageLayout::planes, Done done_ = nullptr,
            const T* addend_ = nullptr)
      : tensor(tensor_), layout(layout_), done(std::move(done_)), addend(addend_) {}

  T* tensor;
  ImageLayout layout;
  Done done;  ///< may be empty
  /// Of convolutions that take one: a tensor as this one, or this one, that is added to it; or null.
  const T* addend;
};

}  // namespace strata::kernels
