#include "strata/layers/kernels/normalization.hpp"

#include <cmath>
#include <cstdint>

#include <xsimd/xsimd.hpp>

#include "strata/framework/instruction_set.hpp"

namespace strata::kernels {
namespace {

constexpr Index kChunk = 2048;   // elements whose sums are taken in T before they go to double
constexpr Index kPilot = 256;    // elements that give a first idea of the mean
constexpr Index kRowChunk = 64;  // the same, of one column
constexpr Index kColumns = 64;   // columns at a time, so that their sums stay in L1

Index smaller(Index a, Index b) {
  return a < b ? a : b;
}

// The passes are written once for V = xsimd::batch<T>, for whole vectors, and V = T, for what is left of a
// run.
template <class T>
xsimd::batch<T> load(const T* p, xsimd::batch<T>) {
  return xsimd::batch<T>::load_unaligned(p);
}
template <class T>
T load(const T* p, T) {
  return *p;
}
template <class T>
void store(T* p, const xsimd::batch<T>& v) {
  v.store_unaligned(p);
}
template <class T>
void store(T* p, T v) {
  *p = v;
}
template <class T>
xsimd::batch<T> multiply_add(const xsimd::batch<T>& a, const xsimd::batch<T>& b, const xsimd::batch<T>& c) {
  return xsimd::fma(a, b, c);
}
template <class T>
T multiply_add(T a, T b, T c) {
  return a * b + c;
}

/// body(i, V) for the whole vectors, then for the single elements, of [0, length).
template <class T, class Body>
void for_each(Index length, const Body& body) {
  using Batch = xsimd::batch<T>;
  constexpr Index kLanes = static_cast<Index>(Batch::size);
  Index i = 0;
  for (; i + kLanes <= length; i += kLanes) body(i, Batch(T{0}));
  for (; i < length; ++i) body(i, T{0});
}

/// The sum of a vector's lanes. Lanes are added pairwise.
template <class T>
double sum_of_lanes(const xsimd::batch<T>& v) {
  T lanes[xsimd::batch<T>::size];
  v.store_unaligned(lanes);
  for (std::size_t half = xsimd::batch<T>::size / 2; half > 0; half /= 2)
    for (std::size_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  return static_cast<double>(lanes[0]);
}

/// Adds to *sum_a and *sum_b what body(i, a, b) adds to a and b over all elements of the runs. Four vectors
/// side by side hide the latency of the additions.
template <class T, class Body>
void sum_pairs(Runs runs, double* sum_a, double* sum_b, const Body& body) {
  using Batch = xsimd::batch<T>;
  constexpr Index kLanes = static_cast<Index>(Batch::size);
  Batch a0(T{0}), a1(T{0}), a2(T{0}), a3(T{0}), b0(T{0}), b1(T{0}), b2(T{0}), b3(T{0});
  T a = 0, b = 0;
  for (Index r = 0; r < runs.count; ++r) {
    Index i = r * runs.stride;
    const Index end = i + runs.length;
    for (; i + 4 * kLanes <= end; i += 4 * kLanes) {
      body(i, a0, b0);
      body(i + kLanes, a1, b1);
      body(i + 2 * kLanes, a2, b2);
      body(i + 3 * kLanes, a3, b3);
    }
    for (; i + kLanes <= end; i += kLanes) body(i, a0, b0);
    for (; i < end; ++i) body(i, a, b);
  }
  *sum_a += sum_of_lanes((a0 + a1) + (a2 + a3)) + static_cast<double>(a);
  *sum_b += sum_of_lanes((b0 + b1) + (b2 + b3)) + static_cast<double>(b);
}

/// body(offset, runs) for pieces of at most kChunk elements: parts of a long run, or several short runs.
template <class Body>
void for_each_chunk(Runs runs, const Body& body) {
  if (runs.length >= kChunk) {
    for (Index r = 0; r < runs.count; ++r)
      for (Index i = 0; i < runs.length; i += kChunk)
        body(r * runs.stride + i, Runs{smaller(kChunk, runs.length - i), 1, 0});
  } else if (runs.length > 0) {
    const Index together = kChunk / runs.length;
    for (Index r = 0; r < runs.count; r += together)
      body(r * runs.stride, Runs{runs.length, smaller(together, runs.count - r), runs.stride});
  }
}

// Runs of a batch lie far apart, where the hardware does not look ahead: each run is asked for while the one
// before it is summed. Worth 10-15 % of a pass; an address past the end does no harm.
template <class T>
void look_ahead([[maybe_unused]] const T* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p);
#endif
}

/// About kPilot elements at the start of a chunk.
Runs first_elements(Runs chunk) {
  if (chunk.length >= kPilot) return {kPilot, 1, 0};
  return {chunk.length, smaller(chunk.count, kPilot / chunk.length), chunk.stride};
}

/// sum (x - shift) and sum (x - shift)^2.
template <class T>
void shifted_sums(const T* x, Runs runs, T shift, double* sum, double* squares) {
  const auto add = [=]<class V>(Index i, V& a, V& b) {
    const V d = load(x + i, V()) - V(shift);
    a += d;
    b = multiply_add(d, d, b);
  };
  if (runs.count == 1) return sum_pairs<T>(runs, sum, squares, add);
  sum_pairs<T>(runs, sum, squares, [=](Index i, auto& a, auto& b) {
    look_ahead(x + i + runs.stride);
    add(i, a, b);
  });
}

Moments from_shifted_sums(Index count, double shift, double sum, double squares) {
  const double n = static_cast<double>(count), m2 = squares - sum * sum / n;
  return {count, shift + sum / n, m2 < 0 ? 0 : m2};  // and NaN stays NaN
}

// Sums of x - shift are good enough if the shift is near the mean: sum (x - shift)^2 exceeds m2 by
// n (mean - shift)^2, and only that cancels. The shift of a chunk is the mean of the chunk before it, so that
// the excess of all chunks together is at most four times the spread of their means, which is a part of the
// variance in the end. For the first chunk the mean of its first kPilot elements serves: n times the square
// of its distance from the chunk's mean is at most kChunk / kPilot times the chunk's own spread.
template <class T>
Moments moments(const T* x, Runs runs) {
  Moments total;
  T shift = 0;
  for_each_chunk(runs, [&](Index at, Runs chunk) {
    const Index count = chunk.length * chunk.count;
    double sum = 0, squares = 0;
    if (total.count == 0) {
      const Runs pilot = first_elements(chunk);
      shifted_sums(x, pilot, x[0], &sum, &squares);
      shift =
          static_cast<T>(static_cast<double>(x[0]) + sum / static_cast<double>(pilot.length * pilot.count));
      sum = squares = 0;
    }
    shifted_sums(x + at, chunk, shift, &sum, &squares);
    const Moments part = from_shifted_sums(count, static_cast<double>(shift), sum, squares);
    total.add(part);
    shift = static_cast<T>(part.mean);
  });
  return total;
}

template <class T>
void normalize(const T* x, T* y, Runs runs, T center, const T* scale, const T* offset, Index step) {
  for (Index r = 0; r < runs.count; ++r) {
    const T *in = x + r * runs.stride, factor = scale[r * step], constant = offset[r * step];
    T* out = y + r * runs.stride;
    for_each<T>(runs.length, [=]<class V>(Index i, V) {
      store(out + i, multiply_add(load(in + i, V()) - V(center), V(factor), V(constant)));
    });
  }
}

/// sum dy and sum dy (x - center).
template <class T>
void products(const T* dy, const T* x, Runs runs, T center, double* sum_dy, double* sum_dy_x) {
  const auto add = [=]<class V>(Index i, V& a, V& b) {
    const V g = load(dy + i, V());
    a += g;
    b = multiply_add(g, load(x + i, V()) - V(center), b);
  };
  if (runs.count == 1) return sum_pairs<T>(runs, sum_dy, sum_dy_x, add);
  sum_pairs<T>(runs, sum_dy, sum_dy_x, [=](Index i, auto& a, auto& b) {
    look_ahead(dy + i + runs.stride);
    look_ahead(x + i + runs.stride);
    add(i, a, b);
  });
}

template <class T>
void gradient_sums(const T* dy, const T* x, Runs runs, T center, double* sum_dy, double* sum_dy_x,
                   Index step) {
  const auto add = [&](Runs some, Index first, double* a, double* b) {
    for_each_chunk(
        some, [&](Index at, Runs chunk) { products(dy + first + at, x + first + at, chunk, center, a, b); });
  };
  if (step == 0) return add(runs, 0, sum_dy, sum_dy_x);
  for (Index r = 0; r < runs.count; ++r)
    add({runs.length, 1, 0}, r * runs.stride, sum_dy + r * step, sum_dy_x + r * step);
}

template <class T>
void gradient(T* dy, const T* x, Runs runs, T center, const T* scale, Index step, T slope, T offset) {
  for (Index r = 0; r < runs.count; ++r) {
    const T *in = x + r * runs.stride, factor = scale[r * step];
    T* g = dy + r * runs.stride;
    for_each<T>(runs.length, [=]<class V>(Index i, V) {
      const V pull = multiply_add(load(in + i, V()) - V(center), V(slope), V(offset));
      store(g + i, multiply_add(load(g + i, V()), V(factor), pull));
    });
  }
}

template <class T>
void normalize_row(const T* x, T* y, Index length, T center, T inv_std, T shift, const T* gamma,
                   const T* beta) {
  for_each<T>(length, [=]<class V>(Index i, V) {
    const V xhat = multiply_add(load(x + i, V()) - V(center), V(inv_std), V(shift));
    store(y + i, multiply_add(xhat, load(gamma + i, V()), load(beta + i, V())));
  });
}

template <class T>
void gradient_sums_row(const T* dy, const T* x, Index length, T center, const T* gamma, double* sum_dy,
                       double* sum_dy_x) {
  for_each_chunk({length, 1, 0}, [&](Index at, Runs chunk) {
    sum_pairs<T>(chunk, sum_dy, sum_dy_x, [=]<class V>(Index i, V& a, V& b) {
      const V g = load(dy + at + i, V()) * load(gamma + at + i, V());
      a += g;
      b = multiply_add(g, load(x + at + i, V()) - V(center), b);
    });
  });
}

template <class T>
void gradient_row(T* dy, const T* x, Index length, T center, T inv_std, T shift, const T* gamma, T slope,
                  T offset, T* dgamma, T* dbeta) {
  for_each<T>(length, [=]<class V>(Index i, V) {
    const V d = load(x + i, V()) - V(center), g = load(dy + i, V());
    store(dgamma + i, multiply_add(g, multiply_add(d, V(inv_std), V(shift)), load(dgamma + i, V())));
    store(dbeta + i, load(dbeta + i, V()) + g);
    store(dy + i, multiply_add(g, load(gamma + i, V()) * V(inv_std), multiply_add(d, V(slope), V(offset))));
  });
}

/// body(first column, columns, first row, rows) for blocks of columns that are cut into chunks of rows.
template <class Body>
void for_each_block(Index rows, Index columns, const Body& body) {
  for (Index j = 0; j < columns; j += kColumns)
    for (Index r = 0; r < rows; r += kRowChunk)
      body(j, smaller(kColumns, columns - j), r, smaller(kRowChunk, rows - r));
}

/// a[j] and b[j] become what body(row, j, a, b) adds up, for each column j.
template <class T, class Body>
void sum_columns(Index rows, Index columns, T* a, T* b, const Body& body) {
  for (Index j = 0; j < columns; ++j) a[j] = b[j] = 0;
  for (Index r = 0; r < rows; ++r)
    for_each<T>(columns, [&]<class V>(Index j, V) {
      V sum_a = load(a + j, V()), sum_b = load(b + j, V());
      body(r, j, sum_a, sum_b);
      store(a + j, sum_a);
      store(b + j, sum_b);
    });
}

template <class T>
void column_moments(const T* x, Index rows, Index columns, Index stride, Moments* moments) {
  T shift[kColumns], sum[kColumns], squares[kColumns];
  for_each_block(rows, columns, [&](Index first, Index width, Index row, Index height) {
    const T* block = x + row * stride + first;
    const auto add_up = [&] {
      sum_columns(height, width, sum, squares, [&]<class V>(Index r, Index j, V& a, V& b) {
        const V d = load(block + r * stride + j, V()) - load(shift + j, V());
        a += d;
        b = multiply_add(d, d, b);
      });
    };
    if (row == 0) {
      for (Index j = 0; j < width; ++j) {
        moments[first + j] = {};
        shift[j] = block[j];
      }
      add_up();
      for (Index j = 0; j < width; ++j) shift[j] += sum[j] / static_cast<T>(height);
    }
    add_up();
    for (Index j = 0; j < width; ++j) {
      const Moments part = from_shifted_sums(height, static_cast<double>(shift[j]),
                                             static_cast<double>(sum[j]), static_cast<double>(squares[j]));
      moments[first + j].add(part);
      shift[j] = static_cast<T>(part.mean);
    }
  });
}

template <class T>
void column_normalize(const T* x, T* y, Index rows, Index columns, Index stride, const T* center,
                      const T* scale, const T* offset) {
  for (Index r = 0; r < rows; ++r, x += stride, y += stride)
    for_each<T>(columns, [=]<class V>(Index j, V) {
      store(y + j, multiply_add(load(x + j, V()) - load(center + j, V()), load(scale + j, V()),
                                load(offset + j, V())));
    });
}

template <class T>
void column_gradient_sums(const T* dy, const T* x, Index rows, Index columns, Index stride, const T* center,
                          double* sum_dy, double* sum_dy_x) {
  T sum[kColumns], product[kColumns];
  for_each_block(rows, columns, [&](Index first, Index width, Index row, Index height) {
    const Index at = row * stride + first;
    sum_columns(height, width, sum, product, [&]<class V>(Index r, Index j, V& a, V& b) {
      const V g = load(dy + at + r * stride + j, V());
      a += g;
      b = multiply_add(g, load(x + at + r * stride + j, V()) - load(center + first + j, V()), b);
    });
    for (Index j = 0; j < width; ++j) {
      sum_dy[first + j] += static_cast<double>(sum[j]);
      sum_dy_x[first + j] += static_cast<double>(product[j]);
    }
  });
}

template <class T>
void column_gradient(T* dy, const T* x, Index rows, Index columns, Index stride, const T* center,
                     const T* scale, const T* slope, const T* offset) {
  for (Index r = 0; r < rows; ++r, dy += stride, x += stride)
    for_each<T>(columns, [=]<class V>(Index j, V) {
      const V pull =
          multiply_add(load(x + j, V()) - load(center + j, V()), load(slope + j, V()), load(offset + j, V()));
      store(dy + j, multiply_add(load(dy + j, V()), load(scale + j, V()), pull));
    });
}

template <class T>
constexpr Normalization<T> kTable{
    moments<T>,           normalize<T>,    gradient_sums<T>,  gradient<T>,         normalize_row<T>,
    gradient_sums_row<T>, gradient_row<T>, column_moments<T>, column_normalize<T>, column_gradient_sums<T>,
    column_gradient<T>};

}  // namespace

template <>
const Normalization<float>& compiled_for<Normalization<float>, InstructionSet::STRATA_ISA>() {
  return kTable<float>;
}
template <>
const Normalization<double>& compiled_for<Normalization<double>, InstructionSet::STRATA_ISA>() {
  return kTable<double>;
}

}  // namespace strata::kernels
