// The inner loops of pieces. Over the plain loops: 1. vectors along a run, or along channels where these lie
// innermost; 2. several vectors of sums at a time, so that additions need not wait for each other; 3. float
// terms are added in float a few at a time before they go to double.
#include "strata/layers/kernels/normalization/vector_loops.hpp"

#include <cmath>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/normalization/loops.hpp"

namespace strata::kernels {
namespace {

constexpr Index kRowChunk = 64;  // rows whose sums are taken in T before they go to double
// Rows that share what is loaded for their columns. Few enough that they stay in L1.
constexpr Index kRowsAtOnce = 8;
constexpr Index kColumns = 512;  // columns at a time, so that what belongs to them stays in L1

/// body(c, offset, runs) for parts of each channel's runs: at most kChunk elements of one run or of several
/// images'.
template <class Body>
void for_each_chunk(const PlaneBlock& block, const Body& body) {
  const Index length = smaller(block.length, kChunk);
  const Index together =
      block.images > 1 && block.length < kChunk ? smaller(kChunk / block.length, block.together) : 1;
  for (Index c = 0; c < block.channels; ++c)
    for (Index n = 0; n < block.images; n += together)
      for (Index i = 0; i < block.length; i += length)
        body(c, n * block.stride + c * block.length + i,
             Runs{smaller(length, block.length - i), smaller(together, block.images - n), block.stride});
}

/// body(c, offset) for each run, in the order of memory.
template <class Body>
void for_each_run(const PlaneBlock& block, const Body& body) {
  for (Index n = 0; n < block.images; ++n)
    for (Index c = 0; c < block.channels; ++c) body(c, n * block.stride + c * block.length);
}

template <class T>
Factors<T> of_channel(const Coefficients<T>& k, Index c) {
  return {k.center[c], k.scale[c], k.offset[c], k.slope[c], k.intercept[c]};
}

/// The factors of as many columns as V has, from j on.
template <class V, class T>
Factors<V> of_columns(const Coefficients<T>& k, Index j) {
  return {load(k.center + j, V()), load(k.scale + j, V()), load(k.offset + j, V()), load(k.slope + j, V()),
          load(k.intercept + j, V())};
}

/// of_column(column, V)(offset) for all elements of a matrix.
template <class T, class OfColumn>
void for_each_in_columns(const PlaneBlock& block, const OfColumn& of_column) {
  for (Index first = 0; first < block.channels; first += kColumns)
    for (Index row = 0; row < block.images; row += kRowsAtOnce) {
      const Index rows = smaller(kRowsAtOnce, block.images - row);
      for_each<T>(smaller(kColumns, block.channels - first), [&]<class V>(Index j, V v) {
        const auto body = of_column(first + j, v);
        Index at = row * block.channels + first + j;
        for (Index r = 0; r < rows; ++r, at += block.channels) body(at);
      });
    }
}

/// a[j] and b[j] become what of_column(j, V)(offset, a, b) adds up over the rows, for each column j.
template <class T, class OfColumn>
void sum_columns(Index rows, Index columns, double* a, double* b, const OfColumn& of_column) {
  T part_a[kColumns], part_b[kColumns];
  for (Index first = 0; first < columns; first += kColumns) {
    const Index width = smaller(kColumns, columns - first);
    for (Index row = 0; row < rows; row += kRowChunk) {
      for (Index j = 0; j < width; ++j) part_a[j] = part_b[j] = 0;
      const Index end = smaller(rows, row + kRowChunk);
      for (Index r = row; r < end; r += kRowsAtOnce)
        for_each<T>(width, [&]<class V>(Index j, V v) {
          const auto body = of_column(first + j, v);
          V sum_a = load(part_a + j, V()), sum_b = load(part_b + j, V());
          Index at = r * columns + first + j;
          for (Index i = r; i < smaller(end, r + kRowsAtOnce); ++i, at += columns) body(at, sum_a, sum_b);
          write(part_a + j, sum_a);
          write(part_b + j, sum_b);
        });
      for (Index j = 0; j < width; ++j) {
        a[first + j] += static_cast<double>(part_a[j]);
        b[first + j] += static_cast<double>(part_b[j]);
      }
    }
  }
}

template <class T>
void sums(const T* x, PlaneBlock block, const T* shift, double* sum, double* squares) {
  for (Index c = 0; c < block.channels; ++c) sum[c] = squares[c] = 0;
  if (block.length == 1)
    return sum_columns<T>(block.images, block.channels, sum, squares, [=]<class V>(Index j, V) {
      return [x, center = load(shift + j, V())](Index at, V& a, V& b) {
        const V d = load(x + at, V()) - center;
        a += d;
        b = multiply_add(d, d, b);
      };
    });
  for_each_chunk(block, [&](Index c, Index at, const Runs& runs) {
    shifted_sums(x + at, runs, shift[c], sum + c, squares + c);
  });
}

template <class T>
void pilot(const T* x, PlaneBlock block, Index count, T* mean) {
  const T share = T{1} / static_cast<T>(count * block.images);
  if (block.length == 1)
    return for_each<T>(block.channels, [=]<class V>(Index j, V) {
      const V first = load(x + j, V());
      V sum(T{0});
      for (Index n = 1; n < block.images; ++n) sum += load(x + n * block.channels + j, V()) - first;
      write(mean + j, multiply_add(sum, V(share), first));
    });
  for (Index c = 0; c < block.channels; ++c) {
    const T first = x[c * block.length];
    double sum = 0, unused = 0;
    for (Index n = 0; n < block.images; ++n) {
      const T* run = x + n * block.stride + c * block.length;
      sum_pairs<T>({count, 1, 0}, &sum, &unused,
                   [=]<class V>(Index i, V& a, V&) { a += load(run + i, V()) - V(first); });
    }
    mean[c] = first + static_cast<T>(sum) * share;
  }
}

inline void inverse_roots(const double* variance, double eps, Index count, double* inv_std) {
  for_each<double>(count, [=]<class V>(Index i, V) {
    using std::sqrt;
    write(inv_std + i, V(1.0) / sqrt(load(variance + i, V()) + V(eps)));
  });
}

template <class T>
void normalize(const T* x, T* y, PlaneBlock block, const Coefficients<T>& k) {
  with_activation(k.rectify, [&]<bool kRectify>(std::bool_constant<kRectify>) {
    if (block.length == 1)
      return for_each_in_columns<T>(block, [=]<class V>(Index j, V) {
        return [x, y, k = of_columns<V>(k, j)](Index at) {
          const V d = load(x + at, V()) - k.center;
          write(y + at, activate<kRectify>(multiply_add(d, k.scale, k.offset)));
        };
      });
    for_each_run(block, [&](Index c, Index at) {
      normalize_run<kRectify>(x + at, y + at, block.length, of_channel(k, c));
    });
  });
}

template <class T>
void gradient_sums(const T* dy, const T* x, PlaneBlock block, const Coefficients<T>& k, double* sum_g,
                   double* sum_g_x) {
  for (Index c = 0; c < block.channels; ++c) sum_g[c] = sum_g_x[c] = 0;
  with_activation(k.rectify, [&]<bool kRectify>(std::bool_constant<kRectify>) {
    if (block.length == 1)
      return sum_columns<T>(block.images, block.channels, sum_g, sum_g_x, [=]<class V>(Index j, V) {
        return [dy, x, k = of_columns<V>(k, j)](Index at, V& a, V& b) {
          const V d = load(x + at, V()) - k.center;
          const V g = pull_back<kRectify, V>(load(dy + at, V()), d, k.scale, k.offset);
          a += g;
          b = multiply_add(g, d, b);
        };
      });
    for_each_chunk(block, [&](Index c, Index at, const Runs& runs) {
      gradient_sums_of<kRectify>(dy + at, x + at, runs, of_channel(k, c), sum_g + c, sum_g_x + c);
    });
  });
}

template <class T>
void gradient(const T* dy, const T* x, T* dx, PlaneBlock block, const Coefficients<T>& k) {
  with_activation(k.rectify, [&]<bool kRectify>(std::bool_constant<kRectify>) {
    if (block.length == 1)
      return for_each_in_columns<T>(block, [=]<class V>(Index j, V) {
        return [dy, x, dx, k = of_columns<V>(k, j)](Index at) {
          const V d = load(x + at, V()) - k.center;
          const V g = pull_back<kRectify, V>(load(dy + at, V()), d, k.scale, k.offset);
          write(dx + at, multiply_add(g, k.scale, multiply_add(d, k.slope, k.intercept)));
        };
      });
    for_each_run(block, [&](Index c, Index at) {
      gradient_run<kRectify>(dy + at, x + at, dx + at, block.length, of_channel(k, c));
    });
  });
}

/// Has L2 fetch the start of a run to come: the processor does not see it coming, on another page.
template <class T>
[[gnu::always_inline]] inline void fetch_start(const T* run) {
  constexpr Index kLine = 64 / Index{sizeof(T)};
  for (Index line = 0; line < 8; ++line) __builtin_prefetch(run + line * kLine, /*write=*/0, /*into L2=*/2);
}

template <class T>
void gradient_beside_sums(const GradientPass<T>& gradient, T* dx, const GradientPass<T>& sums,
                          PlaneBlock block, double* sum_g, double* sum_g_x) {
  for (Index c = 0; c < block.channels; ++c) sum_g[c] = sum_g_x[c] = 0;
  with_activation(gradient.coefficients.rectify, [&]<bool kRectify>(std::bool_constant<kRectify>) {
    for_each_chunk(block, [&](Index c, Index at, const Runs& runs) {
      const Factors<T> k = of_channel(gradient.coefficients, c), of_sums = of_channel(sums.coefficients, c);
      const T *dy = gradient.dy + at, *x = gradient.x + at, *dy_of_sums = sums.dy + at,
              *x_of_sums = sums.x + at;
      T* const dx_there = dx + at;
      fetch_start(dy_of_sums + runs.count * runs.stride);
      fetch_start(x_of_sums + runs.count * runs.stride);
      sum_pairs<T>(runs, sum_g + c, sum_g_x + c, [=]<class V>(Index i, V& a, V& b) {
        add_gradient<kRectify>(dy_of_sums + i, x_of_sums + i, of_sums, a, b);
        write_gradient<kRectify, V>(dy + i, x + i, dx_there + i, k);
      });
    });
  });
}

// Some whole vectors, and one that ends where the row does, of which only the lanes that are not in the one
// before count: all stay in registers from the first sum to the last.
template <int kVectors, class T>
inline void sums_in_registers(const T* x, Index length, T* shift, double* sum, double* squares) {
  using Batch = xsimd::batch<T>;
  constexpr Index kLanes = static_cast<Index>(Batch::size);
  const Batch zero(T{0});
  const auto fresh =
      load(kLaneNumbers<T>, Batch()) >= Batch(static_cast<T>(kVectors * kLanes + kLanes - length));
  Batch values[kVectors + 1];
  for (int v = 0; v < kVectors; ++v) values[v] = load(x + v * kLanes, Batch());
  values[kVectors] = load(x + length - kLanes, Batch());
  Batch total = xsimd::select(fresh, values[kVectors], zero);
  for (int v = 0; v < kVectors; ++v) total += values[v];
  *shift = sum_of(total) / static_cast<T>(length);
  const Batch last = xsimd::select(fresh, values[kVectors] - Batch(*shift), zero);
  Batch a = last, b = last * last;
  for (int v = 0; v < kVectors; ++v) {
    const Batch d = values[v] - Batch(*shift);
    a += d;
    b = multiply_add(d, d, b);
  }
  *sum = static_cast<double>(sum_of(a));
  *squares = static_cast<double>(sum_of(b));
}

template <class T>
void row_sums(const T* x, Index length, T* shift, double* sum, double* squares) {
  constexpr Index kLanes = static_cast<Index>(xsimd::batch<T>::size);
  switch (length / kLanes) {
    case 1:
      return sums_in_registers<1>(x, length, shift, sum, squares);
    case 2:
      return sums_in_registers<2>(x, length, shift, sum, squares);
    case 3:
      return sums_in_registers<3>(x, length, shift, sum, squares);
    default:  // as pilot_of_whole() has it
      pilot<T>(x, {1, 1, length}, smaller(length, larger(Index{16}, length / 8)), shift);
      return sums<T>(x, {1, 1, length}, shift, sum, squares);
  }
}

template <class T>
void normalize_row(const T* x, T* y, const Row<T>& row) {
  using Batch = xsimd::batch<T>;
  constexpr Index kLanes = static_cast<Index>(Batch::size);
  with_activation(row.rectify, [&]<bool kRectify>(std::bool_constant<kRectify>) {
    const auto put = [=]<class V>(Index i, const V& value) {
      const V xhat = multiply_add(value - V(row.center), V(row.inv_std), V(row.shift));
      write(y + i, activate<kRectify>(multiply_add(xhat, load(row.gamma + i, V()), load(row.beta + i, V()))));
    };
    if (row.length < kLanes)
      return for_each<T>(row.length, [=]<class V>(Index i, V) { put(i, load(x + i, V())); });
    // y may be x: the last vector, which overlaps the one before, is read first.
    const Batch last = load(x + row.length - kLanes, Batch());
    for (Index i = 0; i + kLanes < row.length; i += kLanes) put(i, load(x + i, Batch()));
    put(row.length - kLanes, last);
  });
}

template <class T>
void gradient_sums_row(const T* dy, const T* x, const Row<T>& row, double* sum_g, double* sum_g_x) {
  *sum_g = *sum_g_x = 0;
  with_activation(row.rectify, [&]<bool kRectify>(std::bool_constant<kRectify>) {
    for_each_chunk({1, 1, row.length}, [&](Index, Index at, const Runs& runs) {
      sum_pairs<T>(runs, sum_g, sum_g_x, [=]<class V>(Index i, V& a, V& b) {
        const V d = load(x + at + i, V()) - V(row.center), gamma = load(row.gamma + at + i, V());
        const V xhat = multiply_add(d, V(row.inv_std), V(row.shift));
        const V g =
            pull_back<kRectify, V>(load(dy + at + i, V()), xhat, gamma, load(row.beta + at + i, V())) * gamma;
        a += g;
        b = multiply_add(g, d, b);
      });
    });
  });
}

template <class T>
void gradient_row(const T* dy, const T* x, T* dx, const Row<T>& row, T* dgamma, T* dbeta) {
  with_activation(row.rectify, [&]<bool kRectify>(std::bool_constant<kRectify>) {
    for_each<T>(row.length, [=]<class V>(Index i, V) {
      const V d = load(x + i, V()) - V(row.center), gamma = load(row.gamma + i, V());
      const V xhat = multiply_add(d, V(row.inv_std), V(row.shift));
      const V g = pull_back<kRectify, V>(load(dy + i, V()), xhat, gamma, load(row.beta + i, V()));
      write(dgamma + i, multiply_add(g, xhat, load(dgamma + i, V())));
      write(dbeta + i, load(dbeta + i, V()) + g);
      write(dx + i, multiply_add(g, gamma * V(row.inv_std), multiply_add(d, V(row.slope), V(row.intercept))));
    });
  });
}

template <class T>
constexpr Normalization<T> kTable{pilot<T>,
                                  sums<T>,
                                  inverse_roots,
                                  normalize<T>,
                                  gradient_sums<T>,
                                  gradient<T>,
                                  gradient_beside_sums<T>,
                                  row_sums<T>,
                                  normalize_row<T>,
                                  gradient_sums_row<T>,
                                  gradient_row<T>};

}  // namespace

STRATA_KERNEL_TABLE(kTable<float>);
STRATA_KERNEL_TABLE(kTable<double>);

}  // namespace strata::kernels
