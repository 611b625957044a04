#include <gtest/gtest.h>

#include "strata/layers/kernels/product/row_blocks.hpp"

namespace strata::kernels {
namespace {

TEST(RowBlocks, HoldEveryRowOnceInOrder) {
  for (Index batch = 1; batch <= 40; ++batch)
    for (Index rows = 1; rows <= 9; ++rows)
      for (Index wanted = 0; wanted <= 50; ++wanted) {
        SCOPED_TRACE(::testing::Message() << batch << " images of " << rows << ", " << wanted << " a block");
        const RowBlocks blocks(batch, rows, wanted);
        Index next = 0;  // row of the batch
        for (Index i = 0; i < blocks.count(); ++i) {
          const RowBlock block = blocks[i];
          ASSERT_EQ(block.image * rows + block.first_row, next);
          ASSERT_GE(block.images, 1);
          ASSERT_LE(block.images, blocks.max_images());
          ASSERT_GE(block.rows, 1);
          ASSERT_LE(block.rows, blocks.max_rows());
          ASSERT_LE(block.images * block.rows, std::max<Index>(wanted, 1));
          ASSERT_TRUE(block.images == 1 || block.rows == rows);
          ASSERT_EQ(blocks.split_images(), block.rows < rows);
          ASSERT_EQ(block.group, i * blocks.groups() / blocks.count());
          next += block.images * block.rows;
        }
        ASSERT_EQ(next, batch * rows);
      }
}

TEST(RowBlocks, OfSeveralImagesAreAlikeAndEvenInNumber) {
  for (Index batch = 2; batch <= 100; ++batch)
    for (Index images = 2; images < batch; ++images) {
      SCOPED_TRACE(::testing::Message() << batch << " images, " << images << " a block");
      const RowBlocks blocks(batch, 3, 3 * images);
      ASSERT_EQ(blocks.count() % 2, 0);
      ASSERT_LE(blocks.count(), ceil_div(batch, images) + 1);
      for (Index i = 0; i < blocks.count(); ++i) ASSERT_LE(blocks.max_images() - blocks[i].images, 1);
    }
}

}  // namespace
}  // namespace strata::kernels
