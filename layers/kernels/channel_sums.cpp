#include "strata/layers/kernels/channel_sums.hpp"

#include <algorithm>
#include <vector>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/normalization/vector_loops.hpp"
#include "strata/layers/kernels/product/row_blocks.hpp"

namespace strata::kernels {

// By the pass of normalization that takes sums, whose sums of squares are not wanted here.
template <class T>
void sum_per_channel(Index batch, Index channels, Index size, const T* dy, T* sums) {
  if (batch * size == 0) {
    std::fill_n(sums, channels, T{0});
    return;
  }
  constexpr Index kPiece = Index{1} << 15;
  const auto& kernel = table<Normalization<T>>();
  const RowBlocks blocks(batch, channels, kPiece / size);
  const std::vector<T> zeros(static_cast<std::size_t>(channels));
  Scratch<double> parts(blocks.groups() * channels), squares(blocks.groups() * channels);
  parallel_for(blocks.count(), [&](Index i) {
    const RowBlock block = blocks[i];
    const Index first = block.group * channels + block.first_row;
    kernel.sums(dy + (block.image * channels + block.first_row) * size, {block.images, block.rows, size},
                zeros.data(), parts.data() + first, squares.data() + first);
  });
  for (Index c = 0; c < channels; ++c) {
    double sum = 0;
    for (Index group = 0; group < blocks.groups(); ++group) sum += parts.data()[group * channels + c];
    sums[c] = static_cast<T>(sum);
  }
}

template void sum_per_channel(Index, Index, Index, const float*, float*);
template void sum_per_channel(Index, Index, Index, const double*, double*);

}  // namespace strata::kernels
