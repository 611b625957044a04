// Over the plain loop: 1. vectors; 2. one bit an element is all that backward needs, a thirty-second of x; 3.
// a sum of two tensors is taken on the way, which spares a pass over memory.
#include "strata/layers/kernels/rectifier.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/simd/bit_mask.hpp"

namespace strata::kernels {
namespace {

// V is T or a batch of T. With slope 0 there is nothing to multiply: 0 * -infinity would be NaN.
template <bool kLeaky, class V>
inline V negative_side(const V& x, const V& slope) {
  if constexpr (kLeaky)
    return x * slope;
  else
    return V(0);
}

// V is T or a batch of T.
template <class V, bool kSum, class T>
inline V load(const T* a, [[maybe_unused]] const T* b) {
  const auto value = [](const T* from) {
    if constexpr (std::is_same_v<V, T>)
      return *from;
    else
      return V::load_unaligned(from);
  };
  if constexpr (kSum)
    return value(a) + value(b);
  else
    return value(a);
}

// x <= 0 rather than !(x > 0) lets NaN through, where it can be found, and its gradient too.
template <bool kLeaky, bool kMask, bool kSum, class T>
inline void rectify(const T* a, const T* b, T* y, [[maybe_unused]] std::uint8_t* positive, T slope,
                    Index count) {
  using Batch = xsimd::batch<T>;
  const Batch zero(T{0}), slopes(slope);
  Index i = 0;
  for (; i + kMaskGroup<T> <= count; i += kMaskGroup<T>) {
    unsigned not_positive = 0;
    for (Index j = 0; j < kMaskGroup<T>; j += kLanes<T>) {
      const Batch x = load<Batch, kSum>(a + i + j, b + i + j);
      const auto below = x <= zero;
      if constexpr (kMask) not_positive |= to_bits<T>(below) << j;
      xsimd::select(below, negative_side<kLeaky>(x, slopes), x).store_unaligned(y + i + j);
    }
    if constexpr (kMask) store_group<T>(positive + i / 8, ~not_positive);
  }
  for (; i < count; ++i) {
    const T x = load<T, kSum>(a + i, b + i);
    if constexpr (kMask) {
      if (i % 8 == 0) positive[i / 8] = 0;
      positive[i / 8] = static_cast<std::uint8_t>(positive[i / 8] | unsigned{!(x <= T{0})} << (i % 8));
    }
    y[i] = x <= T{0} ? negative_side<kLeaky>(x, slope) : x;
  }
}

template <bool kMask, bool kSum, class T>
inline void rectify(const T* a, const T* b, T* y, std::uint8_t* positive, T slope, Index count) {
  if (slope == T{0}) return rectify<false, kMask, kSum>(a, b, y, positive, slope, count);
  rectify<true, kMask, kSum>(a, b, y, positive, slope, count);
}

template <class T>
void forward(T* x, std::uint8_t* positive, T slope, Index count) {
  rectify<true, false, T>(x, x, x, positive, slope, count);
}

template <class T>
void forward_sum(const T* a, const T* b, T* y, std::uint8_t* positive, T slope, Index count) {
  rectify<true, true>(a, b, y, positive, slope, count);
}

template <class T>
void infer(T* x, T slope, Index count) {
  rectify<false, false, T>(x, x, x, nullptr, slope, count);
}

template <class T>
void infer_sum(const T* a, const T* b, T* y, T slope, Index count) {
  rectify<false, true>(a, b, y, nullptr, slope, count);
}

template <bool kLeaky, bool kSum, class T>
inline void rectify_gradient(const T* a, const T* b, T* dx, const std::uint8_t* positive, T slope,
                             Index count) {
  using Batch = xsimd::batch<T>;
  const Batch slopes(slope);
  Index i = 0;
  for (; i + kMaskGroup<T> <= count; i += kMaskGroup<T>) {
    const unsigned bits = load_group<T>(positive + i / 8);
    for (Index j = 0; j < kMaskGroup<T>; j += kLanes<T>) {
      const Batch dy = load<Batch, kSum>(a + i + j, b + i + j);
      xsimd::select(from_bits<T>(bits >> j), dy, negative_side<kLeaky>(dy, slopes))
          .store_unaligned(dx + i + j);
    }
  }
  for (; i < count; ++i) {
    const T dy = load<T, kSum>(a + i, b + i);
    dx[i] = test_bit(positive, i) ? dy : negative_side<kLeaky>(dy, slope);
  }
}

template <bool kSum, class T>
inline void rectify_gradient(const T* a, const T* b, T* dx, const std::uint8_t* positive, T slope,
                             Index count) {
  if (slope == T{0}) return rectify_gradient<false, kSum>(a, b, dx, positive, slope, count);
  rectify_gradient<true, kSum>(a, b, dx, positive, slope, count);
}

template <class T>
void backward(T* dy, const std::uint8_t* positive, T slope, Index count) {
  rectify_gradient<false, T>(dy, dy, dy, positive, slope, count);
}

template <class T>
void backward_sum(const T* a, const T* b, T* dx, const std::uint8_t* positive, T slope, Index count) {
  rectify_gradient<true>(a, b, dx, positive, slope, count);
}

template <class T>
constexpr Rectifier<T> kTable{forward<T>,     backward<T>,     infer<T>,
                              forward_sum<T>, backward_sum<T>, infer_sum<T>};

}  // namespace

STRATA_KERNEL_TABLE(kTable<float>);
STRATA_KERNEL_TABLE(kTable<double>);

}  // namespace strata::kernels
