// How normalization cuts x into pieces: by the sizes and, where that changes no sum, by the cache; never by
// the number of threads, which decides only how many pieces one of them takes in turn.
#pragma once

#include <algorithm>
#include <utility>

#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/normalization/normalization.hpp"
#include "strata/layers/kernels/normalization/terms.hpp"
#include "strata/layers/kernels/normalization/vector_loops.hpp"

namespace strata::normalization {

/// A contiguous part of x, whole runs or a part of one; or all that some neighboring sets over samples have.
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
  /// `gathered`: the elements that a piece may have if it is to be fetched from all over x.
  Pieces(const Sets& sets, bool whole_runs, Index gathered)
      : length_(sets.length), run_length_(sets.length), all_runs_(sets.samples * sets.channels) {
    const Index set = sets.elements();
    if (sets.over_samples && sets.length > 1 && !whole_runs && set <= gathered &&
        gather(sets, gathered / set))
      return;
    whole_sets_ = !sets.over_samples && set <= kCachedSet && (sets.count >= kFewPieces || set <= kPiece);
    if (whole_sets_) {
      runs_of_set_ = sets.runs;
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
  /// Of a piece of whole sets, [first, last).
  std::pair<Index, Index> sets_of(const Piece& piece) const {
    const Index first = piece.first_run / runs_of_set_;
    return {first, first + piece.runs() / (gathered_ > 0 ? gathered_ : runs_of_set_)};
  }
  /// A piece of whole sets that is fetched from all over x has its sums taken as those of the pieces in the
  /// order of memory, so that bits are the same either way: at once, if those have no more than one sum in T
  /// of each channel, else part by part.
  Index parts_of(const Piece& piece) const {
    const bool at_once = gathered_ == 0 || images_in_order_ * run_length_ <= kernels::kChunk;
    return at_once ? 1 : kernels::ceil_div(piece.block.images, images_in_order_);
  }
  Piece part_of(const Piece& piece, Index i) const {
    if (parts_of(piece) == 1) return piece;
    Piece part = piece;
    part.begin += i * images_in_order_ * piece.block.stride;
    part.block.images = std::min(images_in_order_, piece.block.images - i * images_in_order_);
    return part;
  }
  /// Pieces that each of so many threads had better take in turn, to read one from afar while it works on the
  /// one before from its cache: several, if they are gathered and of whole vectors.
  Index in_turn(Index threads) const {
    if (gathered_ == 0 || run_length_ % kVector != 0) return 1;
    return std::clamp<Index>(count() / (2 * threads), 1, kMostInTurn);
  }
  Index count() const { return kernels::ceil_div(all_runs_, image_runs_) * pieces_of_image_ * parts_; }
  /// Of a piece at most.
  Index max_channels() const { return runs_; }

  Piece operator[](Index i) const {
    const Index part = i % parts_, share = i / parts_ % pieces_of_image_,
                image = i / parts_ / pieces_of_image_;
    const Index step = runs_ * images_, run = image * image_runs_ + share * step;
    const Index runs = std::min(step, image_runs_ - share * step), begin = part * length_;
    if (gathered_ > 0)
      return {run,
              run * run_length_,
              {gathered_, runs, run_length_, image_runs_ * run_length_, images_in_order_}};
    const Index images = images_ > 1 ? runs / runs_ : 1;
    return {run, run * run_length_ + begin, {images, runs / images, std::min(length_, run_length_ - begin)}};
  }

 private:
  // Makes pieces of `channels` channels, if there are enough and what they have of an image is long enough
  // for the processor to fetch it ahead.
  bool gather(const Sets& sets, Index channels) {
    if (sets.length > kPiece || std::min(channels, sets.channels) * sets.length < kStretch ||
        kernels::ceil_div(sets.channels, channels) < kManyPieces)
      return false;
    whole_sets_ = true;
    gathered_ = sets.samples;
    images_in_order_ = std::max<Index>(1, kPiece / (sets.channels * sets.length));
    runs_ = channels;
    all_runs_ = image_runs_ = sets.channels;
    pieces_of_image_ = kernels::ceil_div(image_runs_, runs_);
    return true;
  }

  static constexpr Index kStretch = 1024;  // elements: 4 KB of floats, a page
  static constexpr Index kVector = 16;     // elements, at most
  static constexpr Index kMostInTurn = 8;
  static constexpr Index kManyPieces = 16;  // of fewer, the order of memory leaves much in L2 as well

  Index length_;      // of a run in a piece
  Index run_length_;  // of a run
  Index all_runs_;
  Index parts_ = 1;       // of a run
  Index runs_ = 1;        // of a piece, in each of its images
  Index images_ = 1;      // of a piece
  Index image_runs_ = 0;  // that pieces do not reach across
  Index pieces_of_image_ = 1;
  bool whole_sets_ = false;
  Index gathered_ = 0;  // if pieces have their channels of all samples: those
  Index images_in_order_ = 1;
  Index runs_of_set_ = 1;  // of whole sets that lie in one piece of memory
};

}  // namespace strata::normalization
