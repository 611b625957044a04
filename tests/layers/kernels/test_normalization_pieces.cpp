#include <algorithm>

#include <gtest/gtest.h>

#include "strata/layers/kernels/normalization/pieces.hpp"
#include "tests/layers/random_cases.hpp"

namespace strata::normalization {
namespace {

using testing::pick;
using testing::some;

// Calls body(begin) for the runs of a piece, or the parts of runs.
template <class Body>
void for_each_run(const Piece& piece, const Body& body) {
  for (Index n = 0; n < piece.block.images; ++n)
    for (Index c = 0; c < piece.block.channels; ++c)
      body(piece.begin + n * piece.block.stride + c * piece.block.length);
}

TEST(Pieces, HoldEveryElementOnceAndWholeSetsWhereTheySaySo) {
  Random random(5);
  int of_whole_sets = 0, of_parts = 0, gathered = 0;
  for (int round = 0; round < some(6000); ++round) {
    const bool long_runs = random.below(8) == 0;
    const Index groups = pick(random, 1, 6);
    const Index extents[] = {pick(random, 1, long_runs ? 2 : 12),
                             groups * pick(random, 1, long_runs ? 1 : 40), 1,
                             long_runs ? pick(random, 30000, 50000) : pick(random, 1, 600)};
    const Shape shape(std::begin(extents), std::end(extents));
    const Sets sets = random.below(3) == 0 ? per_group(shape, groups) : per_channel(shape);
    const bool whole_runs = random.below(4) == 0;
    const Index room = random.below(3) == 0 ? 0 : pick(random, 1000, 5000);
    SCOPED_TRACE(to_string(shape) + " " + std::to_string(sets.count) + " sets, room for " +
                 std::to_string(room));
    const Pieces pieces(sets, whole_runs, room);
    std::vector<char> times(static_cast<std::size_t>(element_count(shape)));
    Index next_set = 0;
    for (Index i = 0; i < pieces.count(); ++i) {
      const Piece piece = pieces[i];
      const kernels::PlaneBlock& block = piece.block;
      ASSERT_TRUE(!whole_runs || block.length == sets.length);
      for_each_run(piece, [&](Index begin) {
        for (Index j = begin; j < begin + block.length; ++j) ++times.at(static_cast<std::size_t>(j));
      });
      if (!pieces.whole_sets()) {
        ASSERT_LE(block.channels, pieces.max_channels());
        continue;
      }
      const auto [first, last] = pieces.sets_of(piece);
      ASSERT_EQ(first, next_set);
      next_set = last;
      ASSERT_EQ(piece.elements(), (last - first) * sets.elements());
      Index elements = 0;
      for (Index part = 0; part < pieces.parts_of(piece); ++part)
        elements += pieces.part_of(piece, part).elements();
      ASSERT_EQ(elements, piece.elements());
      for_each_run(piece, [&](Index begin) {
        const Index run = begin / sets.length;
        const Index set = sets.over_samples ? run % sets.channels : run / sets.runs;
        ASSERT_GE(set, first);
        ASSERT_LT(set, last);
      });
      if (sets.over_samples) {
        ASSERT_LE(piece.elements(), room);
      }
    }
    ASSERT_EQ(next_set, pieces.whole_sets() ? sets.count : 0);
    ASSERT_EQ(std::count(times.begin(), times.end(), 1), element_count(shape));
    ++(!pieces.whole_sets() ? of_parts : sets.over_samples ? gathered : of_whole_sets);
  }
  // Or nothing was tested.
  EXPECT_GT(of_whole_sets, some(40));
  EXPECT_GT(of_parts, some(40));
  EXPECT_GT(gathered, some(20));
}

}  // namespace
}  // namespace strata::normalization
