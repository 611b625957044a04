// Filters in the form that the direct convolution takes.
#pragma once

#include <algorithm>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/size_2d.hpp"
#include "strata/layers/kernels/convolution/pixels.hpp"
#include "strata/layers/kernels/index_math.hpp"

namespace strata::kernels {

/// Group by group: row (i, j, c) of (taps.h, taps.w, inputs) holds the weights of every output of the group,
/// padded to `columns`.
struct FilterMatrix {
  Index groups;
  Size2D taps;
  Index inputs;  // of a group, as are the outputs
  Index outputs;
  Index columns;

  FilterMatrix(Index groups_, Size2D taps_, Index inputs_, Index outputs_)
      : groups(groups_),
        taps(taps_),
        inputs(inputs_),
        outputs(outputs_),
        columns(round_up(outputs, table<PixelLayout>().lanes)) {}
  Index group_size() const { return taps.h * taps.w * inputs * columns; }
  Index size() const { return groups * group_size(); }
};

constexpr Index kOutputsAtOnce = 16;  // neighbors in a row of a filter matrix that are copied together
constexpr Index kInputsAtOnce =
    16;  // whose weights for so many outputs stay in L1 while all taps are gone through

/// Calls run(g, k, count, c, i, j, its place) for every run of neighboring outputs, from k on, of which
/// `count` exist; the others are padding.
template <class Run>
void for_each_run(const FilterMatrix& matrix, const Run& run) {
  const Index parts = ceil_div(matrix.columns, kOutputsAtOnce),
              rows = matrix.taps.h * matrix.taps.w * matrix.inputs;
  parallel_ranges(matrix.groups * parts, std::max<Index>(1, (Index{1} << 9) / rows),
                  [&](Index begin, Index end) {
                    for (Index part = begin; part < end; ++part) {
                      const Index g = part / parts, k = part % parts * kOutputsAtOnce;
                      const Index count = std::min(kOutputsAtOnce, matrix.outputs - k);
                      for (Index first = 0; first < matrix.inputs; first += kInputsAtOnce)
                        for (Index i = 0; i < matrix.taps.h; ++i)
                          for (Index j = 0; j < matrix.taps.w; ++j)
                            for (Index c = first; c < std::min(first + kInputsAtOnce, matrix.inputs); ++c) {
                              const Index row = (i * matrix.taps.w + j) * matrix.inputs + c;
                              run(g, k, count, c, i, j, g * matrix.group_size() + row * matrix.columns + k);
                            }
                    }
                  });
}

/// The filter matrix of weights: that of (g, k, c, i, j) is weight[place(g, k, c, i, j)], and the next
/// output's is `step` further.
template <class Place>
void pack(const FilterMatrix& matrix, const float* weight, Index step, const Place& place, float* packed) {
  for_each_run(matrix, [&](Index g, Index k, Index count, Index c, Index i, Index j, Index first) {
    const float* const from = weight + place(g, k, c, i, j);
    float* const to = packed + first;
    if (count == kOutputsAtOnce) {
#pragma GCC unroll 16
      for (Index n = 0; n < kOutputsAtOnce; ++n) to[n] = from[n * step];
      return;
    }
    for (Index n = 0; n < count; ++n) to[n] = from[n * step];
    std::fill_n(to + count, std::min(kOutputsAtOnce, matrix.columns - k) - count, 0.0f);
  });
}

}  // namespace strata::kernels
