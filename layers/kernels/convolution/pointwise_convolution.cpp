// Convolution by kernels of one pixel, for float: a matrix product of weights and planes. Over gemm:
//   1. positions of several images side by side in a panel: small images make long rows, too.
//   2. panels that the L2 cache holds, for inner loops that read them as they lie; OpenBLAS would copy both
//      factors first.
//   3. bias and rectifier on the way out of the panel.
#include <algorithm>
#include <vector>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/convolution/algorithms.hpp"
#include "strata/layers/kernels/convolution/direct.hpp"
#include "strata/layers/kernels/convolution/pointwise.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/product/matrix_product.hpp"
#include "strata/layers/kernels/product/row_blocks.hpp"
#include "strata/layers/kernels/scratch.hpp"

namespace strata::kernels {
namespace {

constexpr Index kNarrowest = 128;  // positions of a panel

// y[n,k,p] = bias[k] + sum over c of weight[k,c] x[n,c,p] within each of some groups.
struct Mix {
  Index batch;
  Index groups;
  Index plane;
  Index inputs;  // of a group
  Index outputs;
  const float* x;
  const float* weights;  // of the groups one after the other
  Index weight_output;   // from output to output
  Index weight_input;
  const float* bias;
  bool rectify;
  float* y;
};

// Calls segment(image, first position, count, place from `begin` on) for the images that [begin, end) lies
// in: positions are counted through the batch.
template <class Segment>
void for_each_segment(const Mix& s, Index begin, Index end, const Segment& segment) {
  for (Index at = begin; at < end;) {
    const Index image = at / s.plane, position = at % s.plane;
    const Index count = std::min(s.plane - position, end - at);
    segment(image, position, count, at - begin);
    at += count;
  }
}

void mix(const Mix& s) {
  const auto& panels = table<Panels>();
  const Index lanes = table<PixelLayout>().lanes, positions = s.batch * s.plane;
  // Panels that fit the L2 cache, but as wide as they can: long runs of memory are fast.
  constexpr Index kMultiplyAdds = Index{1} << 19, kFloats = Index{1} << 17, kPieces = 16, kOutputs = 56;
  const Index width = round_up(
      std::clamp(std::min(kFloats / (s.inputs + s.outputs), positions / kPieces), kNarrowest, Index{256}),
      lanes);
  // No power of two, for then a column would fall on few lines of the cache.
  const Index pitch = width + 16;
  const Index count = ceil_div(positions, width);
  // Few positions are cut by outputs too.
  const Index slices = std::min(ceil_div(s.outputs, kOutputs), ceil_div(kPieces / 2, count * s.groups));
  const Index slice = ceil_div(s.outputs, slices);
  // To move a float takes the time of some multiply-adds.
  constexpr Index kMove = 4;
  const Index work = width * (s.inputs * slice + kMove * (s.inputs + slice));
  const Index grain = std::max<Index>(1, kMultiplyAdds / work);
  parallel_ranges(count * s.groups * slices, grain, [&](Index begin, Index end) {
    Scratch<float> from(s.inputs * pitch), to(slice * pitch);
    std::fill_n(from.data(), s.inputs * pitch, 0.0f);
    for (Index i = begin; i < end; ++i) {
      const Index group = i / slices % s.groups, first = i % slices * slice;
      const Index outputs = std::min(slice, s.outputs - first), output = group * s.outputs + first;
      if (outputs <= 0) continue;
      const Index at = i / (s.groups * slices) * width, end_position = std::min(at + width, positions);
      for_each_segment(s, at, end_position, [&](Index image, Index position, Index length, Index place) {
        panels.gather(s.x + (image * s.groups + group) * s.inputs * s.plane + position, s.plane, s.inputs,
                      length, from.data() + place, pitch);
      });
      multiply_directly({.rows = outputs,
                         .terms = s.inputs,
                         .columns = end_position - at,
                         .a = s.weights + group * s.inputs * s.outputs + first * s.weight_output,
                         .a_row = s.weight_output,
                         .a_term = s.weight_input,
                         .b = from.data(),
                         .b_row = pitch,
                         .c = to.data(),
                         .c_row = pitch,
                         .accumulate = false});
      for_each_segment(s, at, end_position, [&](Index image, Index position, Index length, Index place) {
        panels.scatter(to.data() + place, pitch, s.bias ? s.bias + output : nullptr, s.rectify,
                       s.y + (image * s.groups * s.outputs + output) * s.plane + position, s.plane, outputs,
                       length);
      });
    }
  });
}

// Groups of fewer channels are as fast by the matrix products of OpenBLAS, as are sums over positions.
bool has_many_channels(const ConvolutionShape& s) {
  return std::min(s.group_in_channels(), s.group_out_channels()) >= 32;
}

bool can(const ConvolutionShape& s) {
  return s.kernel == Size2D(1) && s.stride == Size2D(1) && s.padding == Size2D(0) && s.in == s.out &&
         s.batch * s.in_size() >= kNarrowest && (s.groups == 1 || has_many_channels(s));
}

bool can_backward_data(const ConvolutionShape& s, ImageLayout /*dx*/) {
  return can(s);
}
bool can_backward_weights(const ConvolutionShape& s) {
  return can(s) && has_many_channels(s);
}

void forward(const ConvolutionShape& s, const ImageSource<float>& x, const float* weight, const float* bias,
             const ImageSink<float>& y) {
  mix({s.batch, s.groups, s.in_size(), s.group_in_channels(), s.group_out_channels(), x.tensor(), weight,
       s.group_in_channels(), 1, bias, s.rectify, y.tensor});
}

void backward_data(const ConvolutionShape& s, const ImageSource<float>& dy, const float* weight,
                   const float* bias, const ImageSink<float>& dx) {
  mix({s.batch, s.groups, s.in_size(), s.group_out_channels(), s.group_in_channels(), dy.tensor(), weight, 1,
       s.group_in_channels(), bias, /*rectify=*/false, dx.tensor});
}

// The sums over the positions of some images at a time, with the channels of x in vectors.
void backward_weights(const ConvolutionShape& s, const ImageSource<float>& x, const ImageSource<float>& dy,
                      float* dweight) {
  const auto& layout = table<PixelLayout>();
  const auto& kernel = table<Direct>();
  const Index in = s.group_in_channels(), out = s.group_out_channels(), plane = s.in_size();
  const Index columns = round_up(in, layout.lanes), size = s.out_channels * columns;
  constexpr Index kMultiplyAdds = Index{1} << 20, kPieces = 32, kPositions = 256;
  const RowBlocks blocks(
      s.batch, plane,
      std::max({kPositions, ceil_div(kMultiplyAdds, out * columns), ceil_div(s.batch * plane, kPieces)}));
  const Partials partials(blocks.count(), size * Index{sizeof(float)});
  Scratch<float> sums(partials.count * size);
  // Positions whose pixels the L1 cache holds: they are read for every tile of the sums.
  constexpr Index kCached = 128;

  parallel_for(partials.count * s.groups, [&](Index piece) {
    const Index partial = piece / s.groups, group = piece % s.groups;
    float* sum = sums.data() + partial * size + group * out * columns;
    const Index positions = std::min(kCached, blocks.max_rows());
    const Index images = std::clamp<Index>(kCached / blocks.max_rows(), 1, blocks.max_images());
    const PixelScratch pixels(images, positions, columns);
    std::vector<Run> runs(static_cast<std::size_t>(images));
    const Index first = partial * partials.blocks_each;
    const Index last = std::min(first + partials.blocks_each, blocks.count());
    bool accumulate = false;
    for (Index b = first; b < last; ++b) {
      const RowBlock block = blocks[b];
      const Index images_end = block.image + block.images, end = block.first_row + block.rows;
      for (Index image = block.image; image < images_end; image += images)
        for (Index position = block.first_row; position < end; position += positions, accumulate = true) {
          const Index some_images = std::min(images, images_end - image);
          const Index some = std::min(positions, end - position);
          for (Index m = 0; m < some_images; ++m) {
            runs[static_cast<std::size_t>(m)] = {m * s.out_channels * plane, m * some};
            layout.to_pixels(x.tensor() + ((image + m) * s.in_channels + group * in) * plane + position,
                             plane, in, 1, some, {pixels.view().data + m * some * columns, 0, columns});
          }
          kernel.multiply({.rows = out,
                           .line_rows = out,
                           .columns = columns,
                           .run_count = some_images,
                           .run_length = some,
                           .runs = runs.data(),
                           .a = dy.tensor() + (image * s.out_channels + group * out) * plane + position,
                           .a_line = 0,
                           .a_row = plane,
                           .a_term = 1,
                           .b = pixels.view().data,
                           .b_row = columns,
                           .c = sum,
                           .c_line = 0,
                           .c_row = columns,
                           .accumulate = accumulate});
        }
    }
  });

  parallel_ranges(s.out_channels, std::max<Index>(1, (Index{1} << 15) / (partials.count * columns)),
                  [&](Index begin, Index end) {
                    for (Index k = begin; k < end; ++k)
                      for (Index c = 0; c < in; ++c) {
                        const float* sum = sums.data() + k * columns + c;
                        float total = sum[0];
                        for (Index p = 1; p < partials.count; ++p) total += sum[p * size];
                        dweight[k * in + c] = total;
                      }
                  });
}

}  // namespace

constinit const ConvolutionAlgorithm<float> kPointwise{
    "pointwise",       can, forward, can_backward_data, backward_data, can_backward_weights, backward_weights,
    /*rectifies=*/true};

}  // namespace strata::kernels
