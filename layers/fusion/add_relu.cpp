#include "strata/layers/fusion/add_relu.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/add.hpp"
#include "strata/layers/fusion/exactly.hpp"
#include "strata/layers/kernels/rectifier.hpp"

namespace strata::fusion {
namespace {

constexpr Index kGrain = Index{1} << 16;  // a multiple of 8, so that no two pieces share a byte of a mask
constexpr Index kMaskByte = 8;            // elements

/// One bit an element: whether the sum was positive.
using Mask = Tensor<std::uint8_t>;

/// What both steps know.
struct Sum {
  std::size_t inputs;
  std::optional<double> negative_slope;  // of the rectifier behind it, if there is one

  std::size_t size() const { return negative_slope ? 2 : 1; }
  static constexpr Step::Pixels kPixels{.x = true, .y = true, .first_as_y = 0};
};

// All terms but the last in one, in order.
template <class T>
std::pair<Shared<T>, Shared<T>> in_two(std::vector<Shared<T>> terms) {
  Shared<T> first = std::move(terms.front());
  for (std::size_t i = 1; i + 1 < terms.size(); ++i) first = added(std::move(first), std::move(terms[i]));
  return {std::move(first), std::move(terms.back())};
}

// body(kernels, begin, end, first byte of the mask) for all elements.
template <class T, class Body>
void for_pieces(std::size_t elements, const Body& body) {
  const auto& kernel = kernels::table<kernels::Rectifier<T>>();
  parallel_ranges(static_cast<Index>(elements), kGrain,
                  [&](Index begin, Index end) { body(kernel, begin, end, begin / kMaskByte); });
}

template <class T>
class AddTraining final : public TrainingStep<T> {
 public:
  explicit AddTraining(const Sum& sum) : sum_(sum) {}

  std::size_t size() const override { return sum_.size(); }
  Step::Pixels pixels() const override { return Sum::kPixels; }

  Tensor<T> forward(std::vector<Shared<T>> x, Record& record) const override {
    auto [a, b] = in_two(std::move(x));
    if (!sum_.negative_slope) return added(std::move(a), std::move(b)).take();
    const T *of_a = a->data(), *of_b = b->data();
    Tensor<T> y = memory_of(a, b);
    Mask& positive = record.keep(empty<std::uint8_t>({(y.size() + kMaskByte - 1) / kMaskByte}));
    const auto slope = static_cast<T>(*sum_.negative_slope);
    for_pieces<T>(y.size(), [&](const auto& kernel, Index begin, Index end, Index byte) {
      kernel.forward_sum(of_a + begin, of_b + begin, y.data() + begin, positive.data() + byte, slope,
                         end - begin);
    });
    return y;
  }

  std::vector<Shared<T>> backward(std::vector<Shared<T>> dy, Record& record,
                                  bool /*wants_dx*/) const override {
    return std::vector<Shared<T>>(sum_.inputs, sum_.negative_slope
                                                   ? pull_back(std::move(dy), record.take<Mask>())
                                                   : total(std::move(dy)));
  }

 private:
  // Through the rectifier.
  Shared<T> pull_back(std::vector<Shared<T>> dy, const Mask& positive) const {
    const auto slope = static_cast<T>(*sum_.negative_slope);
    if (dy.size() == 1) {
      Tensor<T> dx = std::move(dy[0]).take();
      for_pieces<T>(dx.size(), [&](const auto& kernel, Index begin, Index end, Index byte) {
        kernel.backward(dx.data() + begin, positive.data() + byte, slope, end - begin);
      });
      return dx;
    }
    const T *a = dy[0]->data(), *b = dy[1]->data();
    Tensor<T> dx = memory_of(dy[0], dy[1]);
    for_pieces<T>(dx.size(), [&](const auto& kernel, Index begin, Index end, Index byte) {
      kernel.backward_sum(a + begin, b + begin, dx.data() + begin, positive.data() + byte, slope,
                          end - begin);
    });
    return dx;
  }

  Sum sum_;
};

template <class T>
class AddInference final : public InferenceStep<T> {
 public:
  explicit AddInference(const Sum& sum) : sum_(sum) {}

  std::size_t size() const override { return sum_.size(); }
  Step::Pixels pixels() const override { return Sum::kPixels; }
  Tensor<T> infer(std::vector<Shared<T>> x) const override {
    auto [a, b] = in_two(std::move(x));
    return add_relu(std::move(a), std::move(b), sum_.negative_slope);
  }

 private:
  Sum sum_;
};

template <template <class> class Made, class Base, class T>
std::unique_ptr<Base> at_front_of(Stretch<T> nodes) {
  if (!exactly<const Add<T>>(nodes, 0) || nodes[0]->sources.size() < 2) return nullptr;
  Sum sum{nodes[0]->sources.size(), std::nullopt};
  if (const LeakyReLU<T>* relu = rectifier_at(nodes, 1)) sum.negative_slope = relu->negative_slope();
  return std::make_unique<Made<T>>(sum);
}

}  // namespace

template <class T>
Tensor<T> add_relu(Shared<T> a, Shared<T> b, std::optional<double> negative_slope) {
  if (!negative_slope) return added(std::move(a), std::move(b)).take();
  const T *of_a = a->data(), *of_b = b->data();
  Tensor<T> y = memory_of(a, b);
  const auto slope = static_cast<T>(*negative_slope);
  for_pieces<T>(y.size(), [&](const auto& kernel, Index begin, Index end, Index) {
    kernel.infer_sum(of_a + begin, of_b + begin, y.data() + begin, slope, end - begin);
  });
  return y;
}

template <class T>
std::unique_ptr<TrainingStep<T>> add_relu_training(Stretch<T> nodes) {
  return at_front_of<AddTraining, TrainingStep<T>>(nodes);
}

template <class T>
std::unique_ptr<InferenceStep<T>> add_relu_inference(Stretch<T> nodes) {
  return at_front_of<AddInference, InferenceStep<T>>(nodes);
}

#define STRATA_INSTANTIATE(T)                                               \
  template Tensor<T> add_relu(Shared<T>, Shared<T>, std::optional<double>); \
  template std::unique_ptr<TrainingStep<T>> add_relu_training(Stretch<T>);  \
  template std::unique_ptr<InferenceStep<T>> add_relu_inference(Stretch<T>);
STRATA_INSTANTIATE(float)
STRATA_INSTANTIATE(double)

}  // namespace strata::fusion
