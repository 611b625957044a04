// The backward of every reference against central differences of its forward, in long double; and the same
// results in float and double.
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "strata/framework/random.hpp"
#include "strata/layers/reference/activations.hpp"
#include "strata/layers/reference/convolution.hpp"
#include "strata/layers/reference/dropout.hpp"
#include "strata/layers/reference/join.hpp"
#include "strata/layers/reference/linear.hpp"
#include "strata/layers/reference/normalization.hpp"
#include "strata/layers/reference/pooling.hpp"
#include "strata/layers/reference/upsample.hpp"

namespace strata {
namespace {

template <class T>
using Values = std::vector<T>;
/// x and what else a gradient is asked for, or these gradients.
template <class T>
using Inputs = std::vector<Values<T>>;
using Sizes = std::vector<std::size_t>;

/// Gradients that hold NaN until they are written.
template <class T>
Inputs<T> unwritten(const Inputs<T>& inputs) {
  Inputs<T> gradients;
  for (const Values<T>& input : inputs)
    gradients.emplace_back(input.size(), std::numeric_limits<T>::quiet_NaN());
  return gradients;
}

// Each operation says how many values its inputs and its output have, and does both passes in any type.

const kernels::ConvolutionShape kConvolutions[] = {
    {2, 2, {4, 5}, 3, {4, 5}, 3, 1, 1, 1, 1, false},
    {1, 4, {7, 6}, 6, {3, 5}, {3, 2}, {2, 1}, {1, 0}, {2, 1}, 2, false},
    {2, 3, {3, 4}, 3, {2, 2}, {2, 1}, {1, 3}, 0, {1, 2}, 3, false}};

template <std::size_t k, bool with_bias>
struct Convolution {
  static constexpr bool kHasBias = with_bias;
  static const kernels::ConvolutionShape& shape() { return kConvolutions[k]; }
  static std::size_t large() {
    return static_cast<std::size_t>(shape().batch * shape().in_channels * shape().in_size());
  }
  static std::size_t small() {
    return static_cast<std::size_t>(shape().batch * shape().out_channels * shape().out_size());
  }
  static std::size_t weights() {
    return static_cast<std::size_t>(shape().out_channels * shape().filter_size());
  }
  static Sizes sizes() {
    if (!with_bias) return {large(), weights()};
    return {large(), weights(), static_cast<std::size_t>(shape().out_channels)};
  }
  static std::size_t output() { return small(); }

  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    reference::convolve(shape(), in[0].data(), in[1].data(), with_bias ? in[2].data() : nullptr, y.data());
  }
  template <class T>
  static void backward(const Inputs<T>& in, const Values<T>&, const Values<T>& dy, Inputs<T>& d) {
    reference::convolve_backward_data<T>(shape(), dy.data(), in[1].data(), nullptr, d[0].data());
    reference::convolve_backward_weights(shape(), in[0].data(), dy.data(), d[1].data());
    if (with_bias)
      reference::sum_per_channel(shape().batch, shape().out_channels, shape().out_size(), dy.data(),
                                 d[2].data());
  }
};

template <std::size_t k>
struct TransposedConvolution : Convolution<k, true> {
  using Base = Convolution<k, true>;
  static Sizes sizes() {
    return {Base::small(), Base::weights(), static_cast<std::size_t>(Base::shape().in_channels)};
  }
  static std::size_t output() { return Base::large(); }

  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    reference::convolve_backward_data(Base::shape(), in[0].data(), in[1].data(), in[2].data(), y.data());
  }
  template <class T>
  static void backward(const Inputs<T>& in, const Values<T>&, const Values<T>& dy, Inputs<T>& d) {
    const auto& shape = Base::shape();
    reference::convolve<T>(shape, dy.data(), in[1].data(), nullptr, d[0].data());
    reference::convolve_backward_weights(shape, dy.data(), in[0].data(), d[1].data());
    reference::sum_per_channel(shape.batch, shape.in_channels, shape.in_size(), dy.data(), d[2].data());
  }
};

template <bool with_bias>
struct Linear_ {
  static Sizes sizes() { return with_bias ? Sizes{3 * 4, 5 * 4, 5} : Sizes{3 * 4, 5 * 4}; }
  static std::size_t output() { return 3 * 5; }

  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    reference::linear(3, 4, 5, in[0].data(), in[1].data(), with_bias ? in[2].data() : nullptr, y.data());
  }
  template <class T>
  static void backward(const Inputs<T>& in, const Values<T>&, const Values<T>& dy, Inputs<T>& d) {
    reference::linear_backward_data(3, 4, 5, dy.data(), in[1].data(), d[0].data());
    reference::linear_backward_parameters(3, 4, 5, in[0].data(), dy.data(), d[1].data(),
                                          with_bias ? d[2].data() : nullptr);
  }
};

enum class Over { channels, planes, groups, slices };

template <Over over, bool with_affine, bool frozen = false>
struct Normalization {
  static normalization::Sets sets() {
    const Shape x{3, 4, 2, 3};
    if (over == Over::channels) return normalization::per_channel(x);
    if (over == Over::slices) return normalization::per_group({12, 6}, 1);
    return normalization::per_group(x, over == Over::groups ? 2 : 4);
  }
  static Sizes sizes() {
    const auto parameters = static_cast<std::size_t>(sets().channels);
    return with_affine ? Sizes{output(), parameters, parameters} : Sizes{output()};
  }
  static std::size_t output() { return 3 * 4 * 2 * 3; }

  template <class T>
  static normalization::Statistics statistics(const Inputs<T>& in) {
    if (frozen) return {{0.5, -1, 0.25, 2}, {1, 0.5, 2, 4}};
    return reference::statistics(sets(), in[0].data());
  }
  template <class T>
  static normalization::Affine<T> affine(const Inputs<T>& in) {
    if constexpr (with_affine)
      return {in[1].data(), in[2].data()};
    else
      return {};
  }
  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    reference::normalize(sets(), in[0].data(), statistics(in), affine(in), 0.125, y.data());
  }
  template <class T>
  static void backward(const Inputs<T>& in, const Values<T>&, const Values<T>& dy, Inputs<T>& d) {
    reference::normalize_backward(sets(), in[0].data(), dy.data(), statistics(in), affine(in), 0.125, frozen,
                                  d[0].data(), with_affine ? d[1].data() : nullptr,
                                  with_affine ? d[2].data() : nullptr);
  }
};

enum class Pool { maximum, average, average_inside };

template <Pool pool, Index window, Index stride, Index padding>
struct Pooling_ {
  static reference::PoolingShape shape() {
    return reference::PoolingShape::of({2, 2, 6, 7}, {window, window + 1}, stride, padding);
  }
  static Sizes sizes() { return {2 * 2 * 6 * 7}; }
  static std::size_t output() { return static_cast<std::size_t>(shape().planes * shape().out_size()); }

  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    if constexpr (pool == Pool::maximum)
      reference::max_pool(shape(), in[0].data(), y.data(), nullptr);
    else
      reference::average_pool(shape(), pool == Pool::average, in[0].data(), y.data());
  }
  template <class T>
  static void backward(const Inputs<T>& in, const Values<T>& y, const Values<T>& dy, Inputs<T>& d) {
    if constexpr (pool == Pool::maximum) {
      std::vector<Index> places(y.size());
      Values<T> again(y.size());
      reference::max_pool(shape(), in[0].data(), again.data(), places.data());
      reference::max_pool_backward(shape(), dy.data(), places.data(), d[0].data());
    } else {
      reference::average_pool_backward(shape(), pool == Pool::average, dy.data(), d[0].data());
    }
  }
};

struct GlobalPooling {
  static Sizes sizes() { return {5 * 7}; }
  static std::size_t output() { return 5; }
  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    reference::global_average_pool(5, 7, in[0].data(), y.data());
  }
  template <class T>
  static void backward(const Inputs<T>&, const Values<T>&, const Values<T>& dy, Inputs<T>& d) {
    reference::global_average_pool_backward(5, 7, dy.data(), d[0].data());
  }
};

struct Upsampling {
  static Sizes sizes() { return {2 * 3 * 4}; }
  static std::size_t output() { return 2 * 6 * 12; }
  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    reference::upsample(2, {3, 4}, {2, 3}, in[0].data(), y.data());
  }
  template <class T>
  static void backward(const Inputs<T>&, const Values<T>&, const Values<T>& dy, Inputs<T>& d) {
    reference::upsample_backward(2, {3, 4}, {2, 3}, dy.data(), d[0].data());
  }
};

struct Elementwise_ {
  static Sizes sizes() { return {27}; }
  static std::size_t output() { return 27; }
};

template <int quarters>
struct Rectifying : Elementwise_ {
  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    reference::leaky_relu(27, T(quarters) / 4, in[0].data(), y.data(), nullptr);
  }
  template <class T>
  static void backward(const Inputs<T>& in, const Values<T>& y, const Values<T>& dy, Inputs<T>& d) {
    std::vector<std::uint8_t> positive(reference::mask_bytes(27), 0xff);
    Values<T> again(y.size());
    reference::leaky_relu(27, T(quarters) / 4, in[0].data(), again.data(), positive.data());
    reference::leaky_relu_backward(27, T(quarters) / 4, positive.data(), dy.data(), d[0].data());
  }
};

struct Sigmoid_ : Elementwise_ {
  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    reference::sigmoid(27, in[0].data(), y.data());
  }
  template <class T>
  static void backward(const Inputs<T>&, const Values<T>& y, const Values<T>& dy, Inputs<T>& d) {
    reference::sigmoid_backward(27, y.data(), dy.data(), d[0].data());
  }
};

struct Tanh_ : Elementwise_ {
  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    reference::hyperbolic_tangent(27, in[0].data(), y.data());
  }
  template <class T>
  static void backward(const Inputs<T>&, const Values<T>& y, const Values<T>& dy, Inputs<T>& d) {
    reference::hyperbolic_tangent_backward(27, y.data(), dy.data(), d[0].data());
  }
};

template <Index unit>
struct Dropping : Elementwise_ {
  template <class T>
  static void apply(const Values<T>& from, Values<T>& to) {
    std::vector<std::uint8_t> kept(reference::mask_bytes(27 / unit));
    reference::draw_dropout_mask(5, 6, 0.375, 27 / unit, kept.data());
    reference::dropout(27, unit, 0.375, kept.data(), from.data(), to.data());
  }
  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    apply(in[0], y);
  }
  template <class T>
  static void backward(const Inputs<T>&, const Values<T>&, const Values<T>& dy, Inputs<T>& d) {
    apply(dy, d[0]);
  }
};

/// (2, channels, 3)
template <class T>
Tensor<T> tensor(const Values<T>& values) {
  auto result = empty<T>({2, values.size() / 6, 3});
  std::copy(values.begin(), values.end(), result.begin());
  return result;
}

struct Sum_ {
  static Sizes sizes() { return {12, 12, 12}; }
  static std::size_t output() { return 12; }
  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    const Tensor<T> sum = reference::sum<T>({tensor(in[0]), tensor(in[1]), tensor(in[2])});
    y.assign(sum.begin(), sum.end());
  }
  template <class T>
  static void backward(const Inputs<T>&, const Values<T>&, const Values<T>& dy, Inputs<T>& d) {
    d = {dy, dy, dy};
  }
};

struct Concat_ {
  static Sizes sizes() { return {6, 18, 12}; }
  static std::size_t output() { return 36; }
  template <class T>
  static void forward(const Inputs<T>& in, Values<T>& y) {
    const Tensor<T> joined = reference::concat<T>({tensor(in[0]), tensor(in[1]), tensor(in[2])});
    y.assign(joined.begin(), joined.end());
  }
  template <class T>
  static void backward(const Inputs<T>&, const Values<T>&, const Values<T>& dy, Inputs<T>& d) {
    const auto parts = reference::split(tensor(dy), {{2, 1, 3}, {2, 3, 3}, {2, 2, 3}});
    for (std::size_t k = 0; k < parts.size(); ++k) d[k].assign(parts[k].begin(), parts[k].end());
  }
};

template <class Operation>
class Reference : public ::testing::Test {
 public:
  /// Normal random floats, so that every type gets the same values.
  template <class T>
  static Values<T> random_values(std::size_t count, std::uint64_t seed) {
    const auto values = Random(seed).normal<float>({count}, 0.3);
    return {values.begin(), values.end()};
  }
  template <class T>
  static Inputs<T> inputs() {
    Inputs<T> in;
    for (const std::size_t size : Operation::sizes()) in.push_back(random_values<T>(size, in.size()));
    return in;
  }
  template <class T>
  static Values<T> forward(const Inputs<T>& in) {
    Values<T> y(Operation::output(), std::numeric_limits<T>::quiet_NaN());
    Operation::forward(in, y);
    return y;
  }
  template <class T>
  static Values<T> output_gradient() {
    return random_values<T>(Operation::output(), 99);
  }
  template <class T>
  static Inputs<T> backward(const Inputs<T>& in) {
    Inputs<T> gradients = unwritten(in);
    Operation::backward(in, forward(in), output_gradient<T>(), gradients);
    return gradients;
  }
  /// No value is further off than `tolerance` of the largest.
  template <class T>
  static void expect_near(const Values<T>& got, const Values<long double>& want, long double tolerance) {
    ASSERT_EQ(got.size(), want.size());
    long double largest = 0;
    for (const long double value : want) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < got.size(); ++i) {
      const long double error = std::abs(static_cast<long double>(got[i]) - want[i]);
      EXPECT_TRUE(error <= tolerance * largest) << "element " << i << ": " << got[i] << ", not " << want[i];
    }
  }
  /// float or double against long double.
  template <class T>
  static void expect_the_same_in() {
    constexpr long double kTolerance = 8 * std::numeric_limits<T>::epsilon();
    expect_near(forward(inputs<T>()), forward(inputs<long double>()), kTolerance);
    const auto got = backward(inputs<T>());
    const auto want = backward(inputs<long double>());
    for (std::size_t k = 0; k < want.size(); ++k) expect_near(got[k], want[k], kTolerance);
  }
};

using Operations = ::testing::Types<
    Convolution<0, true>, Convolution<1, true>, Convolution<2, false>, TransposedConvolution<0>,
    TransposedConvolution<1>, TransposedConvolution<2>, Linear_<true>, Linear_<false>,
    Normalization<Over::channels, true>, Normalization<Over::channels, false>,
    Normalization<Over::channels, true, true>, Normalization<Over::planes, true>,
    Normalization<Over::planes, false>, Normalization<Over::groups, true>, Normalization<Over::slices, true>,
    Pooling_<Pool::maximum, 2, 2, 0>, Pooling_<Pool::maximum, 3, 2, 1>, Pooling_<Pool::average, 3, 2, 1>,
    Pooling_<Pool::average_inside, 3, 2, 1>, GlobalPooling, Upsampling, Rectifying<0>, Rectifying<1>,
    Rectifying<-6>, Sigmoid_, Tanh_, Dropping<1>, Dropping<3>, Sum_, Concat_>;
TYPED_TEST_SUITE(Reference, Operations);

// dL/dx_i = (L(x + h e_i) - L(x - h e_i)) / 2h for L = sum y dy.
TYPED_TEST(Reference, GradientsEqualDifferences) {
  using T = long double;
  const auto dy = this->template output_gradient<T>();
  const auto loss = [&](const Inputs<T>& in) {
    const Values<T> y = this->forward(in);
    T sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  const T h = 1e-5L;
  const auto in = this->template inputs<T>();
  const auto gradients = this->backward(in);
  ASSERT_EQ(gradients.size(), in.size());
  for (std::size_t k = 0; k < in.size(); ++k) {
    SCOPED_TRACE("input " + std::to_string(k));
    Values<T> differences;
    for (std::size_t i = 0; i < in[k].size(); ++i) {
      Inputs<T> more = in, less = in;
      more[k][i] += h;
      less[k][i] -= h;
      differences.push_back((loss(more) - loss(less)) / (2 * h));
    }
    // What the differences leave out is of order h^2; statistics are doubles, which h makes 1e-11.
    this->expect_near(gradients[k], differences, 1e-9L);
  }
}

TYPED_TEST(Reference, IsTheSameInFloatAndInDouble) {
  this->template expect_the_same_in<float>();
  this->template expect_the_same_in<double>();
}

}  // namespace
}  // namespace strata
