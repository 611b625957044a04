#include "strata/layers/dropout.hpp"

#include <cmath>
#include <sstream>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/dropout.hpp"
#include "strata/layers/reference/dropout.hpp"

namespace strata {
namespace {

constexpr Index kGrain = Index{1} << 16;  // a multiple of 8, so that no two pieces share a byte of the mask

}  // namespace

template <class T>
Dropout<T>::Dropout(double p, const char* type) : p_(p), seed_(static_cast<std::int64_t>(next_seed())) {
  if (!(p >= 0 && p < 1))
    throw ArgumentError(std::string(type) + ": expected a probability of dropping 0 <= p < 1, got " +
                        std::to_string(p));
}

template <class T>
std::string Dropout<T>::options() const {
  std::ostringstream text;
  text << "p " << p_;
  return text.str();
}

template <class T>
Tensor<T> Dropout<T>::do_forward(Tensor<T> x, Record& record) {
  Tensor<std::uint8_t>& mask = record.keep(empty<std::uint8_t>({0}));
  if (!this->training()) return x;
  const Index units = static_cast<Index>(x.size()) / std::max<Index>(1, unit(x.shape()));
  mask = empty<std::uint8_t>({static_cast<std::size_t>((units + 7) / 8)});
  const std::uint64_t seed = combine_seeds(static_cast<std::uint64_t>(seed_), this->path());
  if (uses_reference()) {
    reference::draw_dropout_mask(seed, static_cast<std::uint64_t>(step_), p_, units, mask.data());
    ++step_;
    apply(x, mask);
    return x;
  }
  const auto& kernel = kernels::table<kernels::DropoutMask>();
  parallel_ranges(static_cast<Index>(mask.size()), kGrain / 8, [&](Index begin, Index end) {
    kernel.draw(seed, static_cast<std::uint64_t>(step_), reference::dropout_threshold(p_), begin, end - begin,
                mask.data() + begin);
  });
  ++step_;
  apply(x, mask);
  return x;
}

template <class T>
Tensor<T> Dropout<T>::do_backward(Tensor<T> dy, Record& record) {
  const auto mask = record.take<Tensor<std::uint8_t>>();  // empty if forward was in evaluation mode
  if (mask.size() > 0) apply(dy, mask);
  return dy;
}

template <class T>
void Dropout<T>::apply(Tensor<T>& values, const Tensor<std::uint8_t>& mask) const {
  const auto scale = static_cast<T>(1 / (1 - p_));
  const auto count = static_cast<Index>(values.size()), together = unit(values.shape());
  if (uses_reference())
    return reference::dropout(count, together, p_, mask.data(), values.data(), values.data());
  if (together == 1) {
    const auto& kernel = kernels::table<kernels::MaskedScale<T>>();
    parallel_ranges(count, kGrain, [&](Index begin, Index end) {
      kernel.apply(values.data() + begin, mask.data() + begin / 8, scale, end - begin);
    });
    return;
  }
  if (count == 0) return;
  parallel_ranges(count / together, std::max<Index>(1, kGrain / together), [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      T* const first = values.data() + i * together;
      if ((mask(i / 8) >> (i % 8)) & 1)
        for (T* value = first; value != first + together; ++value) *value *= scale;
      else
        std::fill(first, first + together, T{0});
    }
  });
}

template <class T>
std::vector<Buffer<T>> Dropout<T>::own_buffers() {
  return {{.name = "seed", .value = &seed_, .in_weights = false},
          {.name = "step", .value = &step_, .in_weights = false}};
}

template <class T>
void Dropout<T>::reset_parameters(Random& random) {
  seed_ = static_cast<std::int64_t>(random.bits());
  step_ = 0;
}

template class Dropout<float>;
template class Dropout<double>;

}  // namespace strata
