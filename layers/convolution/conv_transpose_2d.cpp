#include "strata/layers/convolution/conv_transpose_2d.hpp"

#include <cmath>

#include "strata/layers/convolution/convolution_options.hpp"
#include "strata/layers/kernels/convolution/convolution.hpp"

namespace strata {
namespace {

detail::ConvolutionOptions all_options(Index in, Index out, Size2D kernel, const ConvTranspose2DOptions& o) {
  return {in, out, kernel, o.stride, o.padding, o.output_padding, o.dilation, o.groups, o.bias};
}

}  // namespace

template <class T>
ConvTranspose2D<T>::ConvTranspose2D(Index in_channels, Index out_channels, Size2D kernel,
                                    ConvTranspose2DOptions options)
    : in_(in_channels), out_(out_channels), kernel_(kernel), options_(options) {
  detail::check(all_options(in_, out_, kernel_, options_), "ConvTranspose2D");
  weight_ = Parameter<T>(
      "weight", empty<T>({static_cast<std::size_t>(in_), static_cast<std::size_t>(out_ / options_.groups),
                          static_cast<std::size_t>(kernel_.h), static_cast<std::size_t>(kernel_.w)}));
  if (options_.bias)
    bias_ = Parameter<T>("bias", empty<T>({static_cast<std::size_t>(out_)}), /*decay=*/false);
  Random random(next_seed());
  reset_parameters(random);
}

template <class T>
Parameter<T>& ConvTranspose2D<T>::bias() {
  if (!bias_) throw StateError(this->label() + ": was made without a bias");
  return *bias_;
}

template <class T>
Shape ConvTranspose2D<T>::output_shape(const Shape& input) const {
  if (input.size() != 4 || static_cast<Index>(input[1]) != in_ || input[0] == 0)
    this->fail_shape("(N, " + std::to_string(in_) + ", H, W) with N >= 1", input);
  const auto extent = [&](std::size_t size, Index kernel, Index stride, Index padding, Index output_padding,
                          Index dilation) {
    const detail::Checked output =
        (detail::Checked(size) + -1) * stride + (dilation * (kernel - 1) + output_padding + 1 - 2 * padding);
    if (size == 0 || (output.fits() && output.value() < 1))
      this->fail_shape("an image large enough that padding leaves an output (" + options() + ")", input);
    return output;
  };
  const ConvTranspose2DOptions& o = options_;
  const auto output = detail::checked_shape(
      {input[0], out_, extent(input[2], kernel_.h, o.stride.h, o.padding.h, o.output_padding.h, o.dilation.h),
       extent(input[3], kernel_.w, o.stride.w, o.padding.w, o.output_padding.w, o.dilation.w)});
  if (!output) this->fail_shape(detail::kCountable, input);
  return *output;
}

// The convolution that this layer transposes: from y to x.
template <class T>
kernels::ConvolutionShape ConvTranspose2D<T>::convolution(const Shape& input) const {
  const Shape output = output_shape(input);
  const auto size = [](const Shape& shape) {
    return Size2D(static_cast<Index>(shape[2]), static_cast<Index>(shape[3]));
  };
  return {.batch = static_cast<Index>(input[0]),
          .in_channels = out_,
          .in = size(output),
          .out_channels = in_,
          .out = size(input),
          .kernel = kernel_,
          .stride = options_.stride,
          .padding = options_.padding,
          .dilation = options_.dilation,
          .groups = options_.groups,
          .winograd = options_.winograd};
}

template <class T>
std::uint64_t ConvTranspose2D<T>::multiply_adds(const Shape& input) const {
  const kernels::ConvolutionShape shape = convolution(input);
  return static_cast<std::uint64_t>(shape.batch * in_ * shape.out_size() * shape.filter_size());
}

template <class T>
std::string ConvTranspose2D<T>::algorithm(const Shape& input) const {
  return kernels::convolution_algorithm<T>(convolution(input));
}

template <class T>
std::string ConvTranspose2D<T>::options() const {
  return detail::to_string(all_options(in_, out_, kernel_, options_));
}

template <class T>
Tensor<T> ConvTranspose2D<T>::apply(const Tensor<T>& x) const {
  auto y = empty<T>(output_shape(x.shape()));
  kernels::convolve_backward_data<T>(convolution(x.shape()), x.data(), weight_.value.data(),
                                     bias_ ? bias_->value.data() : nullptr, y.data());
  return y;
}

template <class T>
Tensor<T> ConvTranspose2D<T>::do_forward(Tensor<T> x) {
  x_ = std::move(x);
  return apply(x_);
}

template <class T>
Tensor<T> ConvTranspose2D<T>::do_infer(Tensor<T> x) const {
  return apply(x);
}

template <class T>
void ConvTranspose2D<T>::compute_parameter_gradients(const Tensor<T>& dy) {
  const kernels::ConvolutionShape shape = convolution(x_.shape());
  kernels::convolve_backward_weights(shape, dy.data(), x_.data(), weight_.gradient.data());
  if (bias_) kernels::sum_per_channel(shape.batch, out_, shape.in_size(), dy.data(), bias_->gradient.data());
}

template <class T>
Tensor<T> ConvTranspose2D<T>::do_backward(Tensor<T> dy) {
  compute_parameter_gradients(dy);
  Tensor<T> dx = std::move(x_);  // x is no longer needed, its memory is
  x_ = Tensor<T>();
  kernels::convolve<T>(convolution(dx.shape()), dy.data(), weight_.value.data(), nullptr, dx.data());
  return dx;
}

template <class T>
void ConvTranspose2D<T>::do_backward_parameters(Tensor<T> dy) {
  compute_parameter_gradients(dy);
  x_ = Tensor<T>();
}

template <class T>
std::vector<Parameter<T>*> ConvTranspose2D<T>::own_parameters() {
  if (bias_) return {&weight_, &*bias_};
  return {&weight_};
}

template <class T>
void ConvTranspose2D<T>::reset_parameters(Random& random) {
  const double bound = 1 / std::sqrt(static_cast<double>(out_ / options_.groups * kernel_.h * kernel_.w));
  weight_.value = random.uniform<T>(weight_.value.shape(), -bound, bound);
  if (bias_) bias_->value = random.uniform<T>(bias_->value.shape(), -bound, bound);
}

template class ConvTranspose2D<float>;
template class ConvTranspose2D<double>;

}  // namespace strata
