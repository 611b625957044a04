#include "strata/layers/convolution/conv_transpose_2d.hpp"

#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/convolution/convolution.hpp"
#include "strata/layers/reference/convolution.hpp"

namespace strata {

template <class T>
ConvTranspose2D<T>::ConvTranspose2D(Index in_channels, Index out_channels, Size2D kernel,
                                    ConvTranspose2DOptions o)
    : ConvolutionLayer<T>("ConvTranspose2D",
                          {in_channels, out_channels, kernel, o.stride, o.padding, o.output_padding,
                           o.dilation, o.groups, o.bias, o.winograd},
                          in_channels, out_channels) {}

template <class T>
Shape ConvTranspose2D<T>::output_shape(const Shape& input) const {
  this->check_images(input);
  const ConvolutionOptions& o = this->all_options();
  const auto extent = [&](std::size_t size, Index kernel, Index stride, Index padding, Index output_padding,
                          Index dilation) {
    const detail::Checked output =
        (detail::Checked(size) + -1) * stride + (dilation * (kernel - 1) + output_padding + 1 - 2 * padding);
    if (size == 0 || (output.fits() && output.value() < 1))
      this->fail_shape("an image large enough that padding leaves an output (" + this->options() + ")",
                       input);
    return output;
  };
  const auto output = detail::checked_shape(
      {input[0], o.out_channels,
       extent(input[2], o.kernel.h, o.stride.h, o.padding.h, o.output_padding.h, o.dilation.h),
       extent(input[3], o.kernel.w, o.stride.w, o.padding.w, o.output_padding.w, o.dilation.w)});
  if (!output) this->fail_shape(detail::kCountable, input);
  return *output;
}

template <class T>
kernels::ConvolutionShape ConvTranspose2D<T>::geometry(const Shape& input) const {
  return this->geometry_between(output_shape(input), input);
}

template <class T>
Tensor<T> ConvTranspose2D<T>::apply(const Tensor<T>& x) const {
  auto y = empty<T>(output_shape(x.shape()));
  const kernels::ConvolutionShape shape = geometry(x.shape());
  const T* const weight = this->weight().value.data();
  if (uses_reference())
    reference::convolve_backward_data(shape, x.data(), weight, this->bias_values(), y.data());
  else
    kernels::convolve_backward_data(shape, x.data(), weight, this->bias_values(), y.data());
  return y;
}

template <class T>
void ConvTranspose2D<T>::set_parameter_gradients(const Tensor<T>& x, const Tensor<T>& dy) {
  const kernels::ConvolutionShape shape = geometry(x.shape());
  T* const dw = this->weight().gradient.data();
  if (uses_reference())
    reference::convolve_backward_weights(shape, dy.data(), x.data(), dw);
  else
    kernels::convolve_backward_weights(shape, dy.data(), x.data(), dw);
  this->set_bias_gradient(dy);
}

template <class T>
Tensor<T> ConvTranspose2D<T>::do_backward(Tensor<T> dy, Record& record) {
  auto x = record.take<Tensor<T>>();
  set_parameter_gradients(x, dy);
  // dx takes the memory of x, which is no longer needed.
  const kernels::ConvolutionShape shape = geometry(x.shape());
  const T* const weight = this->weight().value.data();
  if (uses_reference())
    reference::convolve<T>(shape, dy.data(), weight, nullptr, x.data());
  else
    kernels::convolve(shape, dy.data(), weight, nullptr, x.data());
  return x;
}

template <class T>
void ConvTranspose2D<T>::do_backward_parameters(Tensor<T> dy, Record& record) {
  set_parameter_gradients(record.take<Tensor<T>>(), dy);
}

template class ConvTranspose2D<float>;
template class ConvTranspose2D<double>;

}  // namespace strata
