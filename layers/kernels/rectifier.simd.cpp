#include "strata/layers/kernels/rectifier.hpp"

#include "strata/framework/instruction_set.hpp"

namespace strata::kernels {
namespace {

// !(x <= 0) rather than x > 0 lets NaN through, where it can be found.
template <class T>
void infer(T* x, Index count) {
  for (Index i = 0; i < count; ++i) x[i] = x[i] <= T{0} ? T{0} : x[i];
}

template <class T>
void forward(T* x, std::uint8_t* positive, Index count) {
  for (Index i = 0; i < count; i += 8) {
    const Index lanes = count - i < 8 ? count - i : 8;
    unsigned bits = 0;
    for (Index lane = 0; lane < lanes; ++lane) bits |= unsigned{x[i + lane] > T{0}} << lane;
    positive[i / 8] = static_cast<std::uint8_t>(bits);
  }
  infer(x, count);
}

template <class T>
void backward(T* dy, const std::uint8_t* positive, Index count) {
  for (Index i = 0; i < count; ++i) dy[i] = (positive[i / 8] >> (i % 8)) & 1 ? dy[i] : T{0};
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
