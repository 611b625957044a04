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
  /// Fills `room` with images [first, first + count). Called from several threads at once, and for each image
  /// more than once.
  using Make = std::function<void(Index first, Index count, T* room)>;

  ImageSource(const T* tensor) : tensor_(tensor) {}
  ImageSource(Make make) : make_(std::move(make)) {}

  bool needs_room() const { return tensor_ == nullptr; }
  /// Images [first, first + count), of `size` elements each; in `room`, where that is needed.
  const T* images(Index first, Index count, Index size, T* room) const {
    if (tensor_) return tensor_ + first * size;
    make_(first, count, room);
    return room;
  }

 private:
  const T* tensor_ = nullptr;
  Make make_;
};

/// Is told of images [first, first + count) of a convolution's results when they are complete, from several
/// threads at once. May be empty.
using ImageSink = std::function<void(Index first, Index count)>;

}  // namespace strata::kernels
