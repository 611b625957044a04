// How normalization cuts x into pieces: by the sizes alone, so that sums have the same order with any number
// of threads.
#pragma once

#include <algorithm>

#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/normalization.hpp"
#include "strata/layers/normalization.hpp"
#include "strata/layers/normalization_terms.hpp"

namespace strata::normalization {

/// A contiguous part of x: whole runs, or a part of one.
struct Piece {
  Index first_run;
  Index begin;  ///< of x, in elements
  kernels::PlaneBlock block;

  Index runs() const { return block.images * block.channels; }
  Index elements() const { return runs() * block.length; }
};

/// x in pieces.
class Pieces {
 public:
  /// Sets are kept whole where they fit the cache, which `whole_sets` tells, and runs if `whole_runs`.
  Pieces(const Sets& sets, bool whole_runs)
      : length_(sets.length), run_length_(sets.length), all_runs_(sets.samples * sets.channels) {
    const Index set = sets.elements();
    whole_sets_ = !sets.over_samples && set <= kCachedSet && (sets.count >= kFewPieces || set <= kPiece);
    if (whole_sets_) {
      runs_ = sets.runs * std::max<Index>(1, kPiece / set);
    } else if (!whole_runs && length_ > kPiece) {
      parts_ = kernels::ceil_div(length_, kPiece);
      length_ = kernels::ceil_div(length_, parts_);
    } else if (!sets.over_samples || sets.channels * length_ > kPiece) {
      // Equal shares of an image.
      const Index of_image = kernels::ceil_div(sets.channels, std::max<Index>(1, kPiece / length_));
      runs_ = kernels::ceil_div(sets.channels, of_image);
      image_runs_ = sets.channels;
    } else {
      images_ = kPiece / (sets.channels * length_);
      runs_ = sets.channels;
    }
    if (image_runs_ == 0) image_runs_ = all_runs_;
    pieces_of_image_ = kernels::ceil_div(image_runs_, runs_ * images_);
  }

  bool whole_sets() const { return whole_sets_; }
  Index count() const { return kernels::ceil_div(all_runs_, image_runs_) * pieces_of_image_ * parts_; }
  /// Of a piece at most.
  Index max_channels() const { return runs_; }

  Piece operator[](Index i) const {
    const Index part = i % parts_, share = i / parts_ % pieces_of_image_,
                image = i / parts_ / pieces_of_image_;
    const Index step = runs_ * images_, run = image * image_runs_ + share * step;
    const Index runs = std::min(step, image_runs_ - share * step), begin = part * length_;
    const Index images = images_ > 1 ? runs / runs_ : 1;
    return {run, run * run_length_ + begin, {images, runs / images, std::min(length_, run_length_ - begin)}};
  }

 private:
  Index length_;      // of a run in a piece
  Index run_length_;  // of a run
  Index all_runs_;
  Index parts_ = 1;       // of a run
  Index runs_ = 1;        // of a piece, in each of its images
  Index images_ = 1;      // of a piece
  Index image_runs_ = 0;  // that pieces do not reach across
  Index pieces_of_image_ = 1;
  bool whole_sets_ = false;
};

}  // namespace strata::normalization
