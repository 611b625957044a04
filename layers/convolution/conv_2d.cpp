#include "strata/layers/convolution/conv_2d.hpp"

#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/convolution/convolution.hpp"
#include "strata/layers/reference/convolution.hpp"

namespace strata {

template <class T>
Conv2D<T>::Conv2D(Index in_channels, Index out_channels, Size2D kernel, Conv2DOptions o)
    : ConvolutionLayer<T>("Conv2D",
                          {in_channels, out_channels, kernel, o.stride, o.padding, /*output_padding=*/0,
                           o.dilation, o.groups, o.bias, o.winograd},
                          out_channels, in_channels) {}

template <class T>
Shape Conv2D<T>::output_shape(const Shape& input) const {
  this->check_images(input);
  const ConvolutionOptions& o = this->all_options();
  const auto extent = [&](std::size_t size, Index kernel, Index stride, Index padding, Index dilation) {
    const Index window = dilation * (kernel - 1) + 1;
    const detail::Checked padded = detail::Checked(size) + 2 * padding;
    if (size == 0 || (padded.fits() && window > padded.value()))
      this->fail_shape(
          "an image whose padded size is at least the window's " +
              to_string(Size2D(o.dilation.h * (o.kernel.h - 1) + 1, o.dilation.w * (o.kernel.w - 1) + 1)) +
              " (" + this->options() + ")",
          input);
    return padded.fits() ? detail::Checked((padded.value() - window) / stride + 1) : padded;
  };
  const auto output = detail::checked_shape(
      {input[0], o.out_channels, extent(input[2], o.kernel.h, o.stride.h, o.padding.h, o.dilation.h),
       extent(input[3], o.kernel.w, o.stride.w, o.padding.w, o.dilation.w)});
  if (!output) this->fail_shape(detail::kCountable, input);
  return *output;
}

template <class T>
kernels::ConvolutionShape Conv2D<T>::geometry(const Shape& input) const {
  return this->geometry_between(input, output_shape(input));
}

template <class T>
Tensor<T> Conv2D<T>::apply(const Tensor<T>& x) const {
  auto y = empty<T>(output_shape(x.shape()));
  const kernels::ConvolutionShape shape = geometry(x.shape());
  const T* const weight = this->weight().value.data();
  if (uses_reference())
    reference::convolve(shape, x.data(), weight, this->bias_values(), y.data());
  else
    kernels::convolve(shape, x.data(), weight, this->bias_values(), y.data());
  return y;
}

template <class T>
Tensor<T> Conv2D<T>::do_backward(Tensor<T> dy, Record& record) {
  auto x = record.take<Tensor<T>>();
  const kernels::ConvolutionShape shape = geometry(x.shape());
  Parameter<T>& weight = this->weight();
  this->set_bias_gradient(dy);
  // dx takes the memory of x, which is no longer needed.
  if (uses_reference()) {
    reference::convolve_backward_weights(shape, x.data(), dy.data(), weight.gradient.data());
    reference::convolve_backward_data<T>(shape, dy.data(), weight.value.data(), nullptr, x.data());
    return x;
  }
  kernels::convolve_backward(shape, x.data(), dy.data(), weight.value.data(), weight.gradient.data(),
                             x.data());
  return x;
}

template <class T>
void Conv2D<T>::do_backward_parameters(Tensor<T> dy, Record& record) {
  const auto x = record.take<Tensor<T>>();
  this->set_bias_gradient(dy);
  const kernels::ConvolutionShape shape = geometry(x.shape());
  T* const dw = this->weight().gradient.data();
  if (uses_reference())
    reference::convolve_backward_weights(shape, x.data(), dy.data(), dw);
  else
    kernels::convolve_backward_weights(shape, x.data(), dy.data(), dw);
}

template class Conv2D<float>;
template class Conv2D<double>;

}  // namespace strata
