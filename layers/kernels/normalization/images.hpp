// Batch normalization image by image, for whoever has an image in the cache.
#pragma once

#include <algorithm>

#include "strata/framework/graph/image_layout.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/normalization/normalization.hpp"
#include "strata/layers/kernels/normalization/term_loops.hpp"
#include "strata/layers/kernels/normalization/vector_loops.hpp"
#include "strata/layers/kernels/scratch.hpp"

namespace strata::normalization {

/// What forward and backward (normalization.hpp) do for sets per channel, in steps that take some images of x
/// (N, C, H, W) at a time, in any order and from several threads at once; with max(y, 0) for y if `rectify`.
/// Pointers are to the first of these images, all of one layout.
template <class T>
class ByImages {
 public:
  ByImages(const Shape& x, ImageLayout layout, Affine<T> affine, double eps, bool rectify);

  /// Takes in images of x. Each image comes once.
  void take(const T* x, Index first, Index count);
  /// Of all images.
  Statistics statistics() const;

  /// The statistics that normalize. Forgets what was taken in.
  void use(const Statistics& statistics);
  void normalize(const T* x, Index count, T* y) const;
  /// Of one image, whose rows in y lie `row_stride` apart if it is of pixels.
  void normalize_image(const T* x, T* y, Index row_stride) const;

  /// Takes in images of dy and x. Each image comes once.
  void take_gradient(const T* dy, const T* x, Index first, Index count);
  /// After all images: dgamma and dbeta, unless they are null, and what `gradient` needs.
  void finish(bool frozen, T* dgamma, T* dbeta);
  /// dx may be dy.
  void gradient(const T* dy, const T* x, Index count, T* dx) const;
  /// Of one image, like normalize_image.
  void gradient_image(const T* dy, const T* x, T* dx, Index row_stride) const;

  Index image_size() const { return channels_ * length_; }
  /// body(first, count) for all images, some at a time.
  template <class Body>
  void for_each(const Body& body) const {
    constexpr Index kElements = Index{1} << 15;  // worth a thread
    parallel_ranges(images_, std::max<Index>(1, kElements / image_size()),
                    [&](Index begin, Index end) { body(begin, end - begin); });
  }

 private:
  /// body(block, offset in an image, offset in what is written) for the parts of an image that go to one
  /// place each.
  template <class Body>
  void for_parts(Index row_stride, const Body& body) const;
  bool as_pixels() const { return layout_ == ImageLayout::pixels; }
  kernels::PlaneBlock block(Index count) const {
    return as_pixels() ? kernels::PlaneBlock{count * length_, channels_, 1}
                       : kernels::PlaneBlock{count, channels_, length_};
  }
  kernels::Coefficients<T> coefficients() const {
    return {center_, scale_, offset_, slope_, intercept_, rectify_};
  }
  /// first[c] = the sum of the entries that images left for channel c, in the order of images.
  void add_up(const double* entries, double* sums) const;

  Index images_;
  Index channels_;
  Index columns_;
  Index length_;
  ImageLayout layout_;
  Affine<T> affine_;
  double eps_;
  bool rectify_;
  const kernels::Normalization<T>& kernel_ = kernels::table<kernels::Normalization<T>>();
  const kernels::NormalizationTerms<T>& terms_ = kernels::table<kernels::NormalizationTerms<T>>();

  // An entry for each image that came first in a call, and each channel.
  std::vector<Index> counts_;  // of images; 0 for the others
  kernels::Scratch<double> entries_;
  double* const first_;   // sums of x - shift; of g
  double* const second_;  // their squares; sums of g (x - center)
  kernels::Scratch<T> shifts_;

  kernels::Scratch<T> factors_;
  T* const center_;
  T* const scale_;
  T* const offset_;
  T* const slope_;
  T* const intercept_;
  std::vector<double> mean_;
  std::vector<double> inv_std_;
};

extern template class ByImages<float>;
extern template class ByImages<double>;

}  // namespace strata::normalization
