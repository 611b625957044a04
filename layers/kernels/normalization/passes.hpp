// The order in which normalization works through its pieces: sums first, then what is done with them.
#pragma once

#include <algorithm>
#include <type_traits>

#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/normalization/normalization.hpp"
#include "strata/layers/kernels/normalization/pieces.hpp"
#include "strata/layers/kernels/normalization/terms.hpp"
#include "strata/layers/kernels/scratch.hpp"

namespace strata::normalization {

/// Two sums of each factor: of what has one gamma, a run or a set over samples or a column of it.
struct Sums {
  explicit Sums(Index count) : values(2 * count, 0.0), first(values.data()), second(first + count) {}

  Values<double> values;
  double* const first;
  double* const second;
};

/// `sets`: as they are worked on. Factors are as many of each set, and follow each other.
class Passes {
 public:
  Passes(const Pieces& pieces, const Sets& sets, Index factors_of_set)
      : pieces_(pieces), sets_(sets), factors_of_set_(factors_of_set) {}

  /// The sums of a piece of whole sets.
  template <class TakeSums>
  void take_whole_sums(const Piece& piece, Index factor, Sums& sums, const TakeSums& take_sums) const {
    take_sums(pieces_.part_of(piece, 0), factor, &sums.first[factor], &sums.second[factor]);
    const Index parts = pieces_.parts_of(piece);
    if (parts == 1) return;
    const Index channels = piece.block.channels;
    kernels::Scratch<double> first(channels), second(channels);
    for (Index i = 1; i < parts; ++i) {
      take_sums(pieces_.part_of(piece, i), factor, first.data(), second.data());
      for (Index c = 0; c < channels; ++c) {
        sums.first[factor + c] += first.data()[c];
        sums.second[factor + c] += second.data()[c];
      }
    }
  }

  /// The order of things for all pieces: begin(first set, end), then, if sums are `wanted`, take_sums(piece,
  /// first factor, two results for each), finish(first set, end), and use(piece, first factor). With
  /// use_beside_sums, if it is not null, a thread uses one gathered piece while it takes the sums of the
  /// next.
  template <class Begin, class TakeSums, class Finish, class Use, class UseBesideSums>
  void run(bool wanted, const Begin& begin, const TakeSums& take_sums, Sums& sums, const Finish& finish,
           const Use& use, const UseBesideSums& use_beside_sums) const {
    if (!pieces_.whole_sets()) return run_by_passes(wanted, begin, take_sums, sums, finish, use);
    constexpr bool kBeside = !std::is_null_pointer_v<UseBesideSums>;
    const auto factor_of_piece = [&](const Piece& piece) {
      return pieces_.sets_of(piece).first * factors_of_set_;
    };
    const auto begin_piece = [&](const Piece& piece) {
      const auto [first, last] = pieces_.sets_of(piece);
      begin(first, last);
    };
    const auto in_turn = [&](Index first_piece, Index end) {
      bool has_sums = false;
      for (Index i = first_piece; i < end; ++i) {
        const Piece piece = pieces_[i];
        const Index factor = factor_of_piece(piece);
        if (!has_sums) {
          begin_piece(piece);
          if (wanted) take_whole_sums(piece, factor, sums, take_sums);
        }
        const auto [first, last] = pieces_.sets_of(piece);
        finish(first, last);
        has_sums = false;
        if constexpr (kBeside)
          if (i + 1 < end && pieces_[i + 1].block.channels == piece.block.channels) {
            const Piece next = pieces_[i + 1];
            begin_piece(next);
            use_beside_sums(piece, factor, next, factor_of_piece(next));
            has_sums = true;
          }
        if (!has_sums) use(piece, factor);
      }
    };
    parallel_ranges(pieces_.count(), kBeside && wanted ? pieces_.in_turn(num_threads()) : 1, in_turn);
  }

 private:
  static constexpr Index kSetsAtOnce = 1024;  // whose statistics are worth a thread

  Index factor_of(Index run) const { return sets_.over_samples ? run % sets_.channels : run; }

  /// The same for pieces that are parts of sets: each pass over all of x before the next.
  template <class Begin, class TakeSums, class Finish, class Use>
  void run_by_passes(bool wanted, const Begin& begin, const TakeSums& take_sums, Sums& sums,
                     const Finish& finish, const Use& use) const {
    begin(0, sets_.count);
    const Index width = pieces_.max_channels(), parts = wanted ? pieces_.count() : 0;
    kernels::Scratch<double> first(parts * width), second(parts * width);
    parallel_for(parts, [&](Index i) {
      const Piece piece = pieces_[i];
      take_sums(piece, factor_of(piece.first_run), first.data() + i * width, second.data() + i * width);
    });
    parallel_ranges(sets_.count, kSetsAtOnce, [&](Index begin_set, Index end_set) {
      for (Index i = 0; i < parts; ++i) {
        const Piece piece = pieces_[i];
        const Index of_piece = factor_of(piece.first_run),
                    from = std::max(of_piece, begin_set * factors_of_set_),
                    to = std::min(of_piece + piece.block.channels, end_set * factors_of_set_);
        for (Index f = from; f < to; ++f) {
          sums.first[f] += first.data()[i * width + f - of_piece];
          sums.second[f] += second.data()[i * width + f - of_piece];
        }
      }
      finish(begin_set, end_set);
    });
    parallel_for(pieces_.count(), [&](Index i) {
      const Piece piece = pieces_[i];
      use(piece, factor_of(piece.first_run));
    });
  }

  const Pieces& pieces_;
  const Sets& sets_;
  Index factors_of_set_;
};

}  // namespace strata::normalization
