// Images that go from one kernel to the next while they are in the cache.
#pragma once

#include <functional>
#include <utility>

#include "strata/framework/index.hpp"

namespace strata::kernels {

/// The images that a convolution reads: those of a tensor, or images that are made as they are needed.
template <class T>
class ImageSource {
 public:
  /// Fills `room` with images [first, first + count). Called from several threads at once.
  using Make = std::function<void(Index first, Index count, T* room)>;

  ImageSource(const T* tensor) : tensor_(tensor) {}
  /// `memory`, if given, is where images may be kept for a second reader, each in its place. What an image is
  /// made from may lie there too: it is made once then.
  ImageSource(Make make, T* memory = nullptr) : make_(std::move(make)), memory_(memory) {}

  bool needs_room() const { return !tensor_ && !kept_; }
  /// Images [first, first + count), of `size` elements each; in `room`, where that is needed.
  const T* images(Index first, Index count, Index size, T* room) const {
    if (tensor_) return tensor_ + first * size;
    if (kept_) room = memory_ + first * size;
    make_(first, count, room);
    return room;
  }

  /// For the first of two readers, which keeps what it makes, and for the second.
  ImageSource kept() const {
    ImageSource source = *this;
    source.kept_ = memory_ != nullptr;
    return source;
  }
  ImageSource as_kept() const { return memory_ ? ImageSource(memory_) : *this; }

 private:
  const T* tensor_ = nullptr;
  Make make_;
  T* memory_ = nullptr;
  bool kept_ = false;
};

/// Is told of images [first, first + count) of a convolution's results when they are complete, from several
/// threads at once. May be empty.
using ImageSink = std::function<void(Index first, Index count)>;

}  // namespace strata::kernels
