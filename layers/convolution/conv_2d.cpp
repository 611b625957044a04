#include "strata/layers/convolution/conv_2d.hpp"

#include <cmath>
#include <utility>

#include "strata/layers/convolution/convolution_options.hpp"
#include "strata/layers/fusion/convolution_inference.hpp"
#include "strata/layers/fusion/convolution_run.hpp"
#include "strata/layers/kernels/convolution/convolution.hpp"

namespace strata {
namespace {

detail::ConvolutionOptions all_options(Index in, Index out, Size2D kernel, const Conv2DOptions& o) {
  return {in, out, kernel, o.stride, o.padding, /*output_padding=*/0, o.dilation, o.groups, o.bias};
}

}  // namespace

template <class T>
Conv2D<T>::Conv2D(Index in_channels, Index out_channels, Size2D kernel, Conv2DOptions options)
    : in_(in_channels), out_(out_channels), kernel_(kernel), options_(options) {
  detail::check(all_options(in_, out_, kernel_, options_), "Conv2D");
  const auto out = static_cast<std::size_t>(out_);
  weight_ = Parameter<T>(
      "weight", empty<T>({out, static_cast<std::size_t>(in_ / options_.groups),
                          static_cast<std::size_t>(kernel_.h), static_cast<std::size_t>(kernel_.w)}));
  if (options_.bias) bias_ = Parameter<T>("bias", empty<T>({out}), /*decay=*/false);
  Random random(next_seed());
  reset_parameters(random);
}

template <class T>
Parameter<T>& Conv2D<T>::weight() {
  this->lend_state();
  return weight_;
}

template <class T>
Parameter<T>& Conv2D<T>::bias() {
  if (!bias_) throw StateError(this->label() + ": was made without a bias");
  this->lend_state();
  return *bias_;
}

template <class T>
Shape Conv2D<T>::output_shape(const Shape& input) const {
  if (input.size() != 4 || static_cast<Index>(input[1]) != in_ || input[0] == 0)
    this->fail_shape("(N, " + std::to_string(in_) + ", H, W) with N >= 1", input);
  const auto extent = [&](std::size_t size, Index kernel, Index stride, Index padding, Index dilation) {
    const Index window = dilation * (kernel - 1) + 1;
    const detail::Checked padded = detail::Checked(size) + 2 * padding;
    if (size == 0 || (padded.fits() && window > padded.value()))
      this->fail_shape("an image whose padded size is at least the window's " +
                           to_string(Size2D(options_.dilation.h * (kernel_.h - 1) + 1,
                                            options_.dilation.w * (kernel_.w - 1) + 1)) +
                           " (" + options() + ")",
                       input);
    return padded.fits() ? detail::Checked((padded.value() - window) / stride + 1) : padded;
  };
  const auto output = detail::checked_shape(
      {input[0], out_,
       extent(input[2], kernel_.h, options_.stride.h, options_.padding.h, options_.dilation.h),
       extent(input[3], kernel_.w, options_.stride.w, options_.padding.w, options_.dilation.w)});
  if (!output) this->fail_shape(detail::kCountable, input);
  return *output;
}

template <class T>
kernels::ConvolutionShape Conv2D<T>::convolution(const Shape& input) const {
  const Shape output = output_shape(input);
  const auto size = [](const Shape& shape) {
    return Size2D(static_cast<Index>(shape[2]), static_cast<Index>(shape[3]));
  };
  return {.batch = static_cast<Index>(input[0]),
          .in_channels = in_,
          .in = size(input),
          .out_channels = out_,
          .out = size(output),
          .kernel = kernel_,
          .stride = options_.stride,
          .padding = options_.padding,
          .dilation = options_.dilation,
          .groups = options_.groups,
          .winograd = options_.winograd};
}

template <class T>
std::uint64_t Conv2D<T>::multiply_adds(const Shape& input) const {
  const kernels::ConvolutionShape shape = convolution(input);
  return static_cast<std::uint64_t>(shape.batch * out_ * shape.out_size() * shape.filter_size());
}

template <class T>
std::string Conv2D<T>::algorithm(const Shape& input) const {
  return kernels::convolution_algorithm<T>(convolution(input));
}

template <class T>
std::string Conv2D<T>::options() const {
  return detail::to_string(all_options(in_, out_, kernel_, options_));
}

template <class T>
Tensor<T> Conv2D<T>::apply(const Tensor<T>& x) const {
  auto y = empty<T>(output_shape(x.shape()));
  kernels::convolve(convolution(x.shape()), x.data(), weight_.value.data(),
                    bias_ ? bias_->value.data() : nullptr, y.data());
  return y;
}

template <class T>
Tensor<T> Conv2D<T>::forward_shared(Shared<T> x) {
  x_ = std::move(x);
  return apply(*x_);
}

template <class T>
Tensor<T> Conv2D<T>::do_forward(Tensor<T> x) {
  return forward_shared(std::move(x));
}

template <class T>
Tensor<T> Conv2D<T>::do_infer(Tensor<T> x) const {
  return apply(x);
}

template <class T>
void Conv2D<T>::compute_bias_gradient(const kernels::ConvolutionShape& shape, const Tensor<T>& dy) {
  if (bias_) kernels::sum_per_channel(shape.batch, out_, shape.out_size(), dy.data(), bias_->gradient.data());
}

template <class T>
Tensor<T> Conv2D<T>::pull_back(const Tensor<T>& dy) {
  Shared<T> kept = std::exchange(x_, {});
  const kernels::ConvolutionShape shape = convolution(kept->shape());
  compute_bias_gradient(shape, dy);
  const T* x = kept->data();
  Tensor<T> dx = memory_of(kept);  // x is no longer needed, its memory is
  kernels::convolve_backward(shape, x, dy.data(), weight_.value.data(), weight_.gradient.data(), dx.data());
  return dx;
}

template <class T>
Tensor<T> Conv2D<T>::do_backward(Tensor<T> dy) {
  return pull_back(dy);
}

template <class T>
void Conv2D<T>::pull_back_parameters(const Tensor<T>& dy) {
  const Shared<T> x = std::exchange(x_, {});
  const kernels::ConvolutionShape shape = convolution(x->shape());
  compute_bias_gradient(shape, dy);
  kernels::convolve_backward_weights(shape, x->data(), dy.data(), weight_.gradient.data());
}

template <class T>
void Conv2D<T>::do_backward_parameters(Tensor<T> dy) {
  pull_back_parameters(dy);
}

template <class T>
std::unique_ptr<TrainingFusion<T>> Conv2D<T>::fuse_training(std::span<Layer<T>* const> chain) {
  return ConvolutionRun<T>::at_front_of(chain);
}

template <class T>
std::unique_ptr<InferenceFusion<T>> Conv2D<T>::fuse_inference(std::span<Layer<T>* const> chain) {
  return std::make_unique<ConvolutionInference<T>>(*this, chain.subspan(1));
}

template <class T>
std::vector<Parameter<T>*> Conv2D<T>::own_parameters() {
  if (bias_) return {&weight_, &*bias_};
  return {&weight_};
}

template <class T>
void Conv2D<T>::reset_parameters(Random& random) {
  const double bound = 1 / std::sqrt(static_cast<double>(in_ / options_.groups * kernel_.h * kernel_.w));
  weight_.value = random.uniform<T>(weight_.value.shape(), -bound, bound);
  if (bias_) bias_->value = random.uniform<T>(bias_->value.shape(), -bound, bound);
}

template class Conv2D<float>;
template class Conv2D<double>;

}  // namespace strata
