#include "strata/layers/kernels/rectifier.hpp"

#include "strata/framework/instruction_set.hpp"
#include "strata/layers/kernels/bit_mask.hpp"

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

// x <= 0 rather than !(x > 0) lets NaN through, where it can be found.
template <bool kLeaky, bool kMask, class T>
inline void rectify(T* x, [[maybe_unused]] std::uint8_t* positive, T slope, Index count) {
  using Batch = xsimd::batch<T>;
  const Batch zero(T{0}), slopes(slope);
  Index i = 0;
  for (; i + kMaskGroup<T> <= count; i += kMaskGroup<T>) {
    unsigned bits = 0;
    for (Index j = 0; j < kMaskGroup<T>; j += kLanes<T>) {
      const Batch value = Batch::load_unaligned(x + i + j);
      if constexpr (kMask) bits |= to_bits<T>(value > zero) << j;
      xsimd::select(value <= zero, negative_side<kLeaky>(value, slopes), value).store_unaligned(x + i + j);
    }
    if constexpr (kMask) store_group<T>(positive + i / 8, bits);
  }
  for (; i < count; ++i) {
    if constexpr (kMask) {
      if (i % 8 == 0) positive[i / 8] = 0;
      positive[i / 8] = static_cast<std::uint8_t>(positive[i / 8] | unsigned{x[i] > T{0}} << (i % 8));
    }
    x[i] = x[i] <= T{0} ? negative_side<kLeaky>(x[i], slope) : x[i];
  }
}

template <class T>
void forward(T* x, std::uint8_t* positive, T slope, Index count) {
  if (slope == T{0}) return rectify<false, true>(x, positive, slope, count);
  rectify<true, true>(x, positive, slope, count);
}

template <class T>
void infer(T* x, T slope, Index count) {
  if (slope == T{0}) return rectify<false, false, T>(x, nullptr, slope, count);
  rectify<true, false, T>(x, nullptr, slope, count);
}

template <bool kLeaky, class T>
inline void rectify_gradient(T* dy, const std::uint8_t* positive, T slope, Index count) {
  using Batch = xsimd::batch<T>;
  const Batch slopes(slope);
  Index i = 0;
  for (; i + kMaskGroup<T> <= count; i += kMaskGroup<T>) {
    const unsigned bits = load_group<T>(positive + i / 8);
    for (Index j = 0; j < kMaskGroup<T>; j += kLanes<T>) {
      const Batch value = Batch::load_unaligned(dy + i + j);
      xsimd::select(from_bits<T>(bits >> j), value, negative_side<kLeaky>(value, slopes))
          .store_unaligned(dy + i + j);
    }
  }
  for (; i < count; ++i) dy[i] = test_bit(positive, i) ? dy[i] : negative_side<kLeaky>(dy[i], slope);
}

template <class T>
void backward(T* dy, const std::uint8_t* positive, T slope, Index count) {
  if (slope == T{0}) return rectify_gradient<false>(dy, positive, slope, count);
  rectify_gradient<true>(dy, positive, slope, count);
}

template <class T>
constexpr Rectifier<T> kTable{forward<T>, backward<T>, infer<T>};

}  // namespace

template <>
const Rectifier<float>& compiled_for<Rectifier<float>, InstructionSet::STRATA_ISA>() {
  return kTable<float>;
}
template <>
const Rectifier<double>& compiled_for<Rectifier<double>, InstructionSet::STRATA_ISA>() {
  return kTable<double>;
}

}  // namespace strata::kernels
