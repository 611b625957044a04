#include "models/course.hpp"

namespace strata::models {
namespace {

// The parameters of norms keep their 1 and 0; it is the parameters that decay which are weights proper.
template <class T>
void scale_weights(Layer<T>& net, double scale, std::uint64_t seed) {
  for (const auto& [name, parameter] : net.named_parameters()) {
    const Shape shape = parameter->value.shape();
    if (parameter->decay) {
      Random random(combine_seeds(seed, name));
      parameter->value = random.normal<T>(shape, 0, scale);
    } else if (name.ends_with("bias")) {
      parameter->value = full<T>(shape, T{0});
    }
  }
}

}  // namespace

template <class T>
Sequential<T> fully_connected_net(const Shape& sample, const std::vector<Index>& hidden_dims, Index classes,
                                  FullyConnectedOptions options) {
  Sequential<T> net;
  if (sample.size() > 1) net.add(Flatten<T>{});
  Index in = element_count(sample);
  for (const Index out : hidden_dims) {
    linear_norm_relu(net, in, out, options.normalization, options.dropout);
    in = out;
  }
  net.add(Linear<T>{in, classes});
  scale_weights(net, options.weight_scale, options.seed);
  return net;
}

template <class T>
Sequential<T> three_layer_conv_net(const Shape& sample, Index classes, ThreeLayerConvOptions options) {
  Sequential<T> net;
  conv_relu_pool(net, static_cast<Index>(sample.at(0)), options.filters, options.filter_size);
  net.add(Flatten<T>{});
  linear_norm_relu(net, features_of(net, sample), options.hidden_dim, Norm::none);
  net.add(Linear<T>{options.hidden_dim, classes});
  scale_weights(net, options.weight_scale, options.seed);
  return net;
}

#define STRATA_INSTANTIATE(T)                                                                   \
  template Sequential<T> fully_connected_net<T>(const Shape&, const std::vector<Index>&, Index, \
                                                FullyConnectedOptions);                         \
  template Sequential<T> three_layer_conv_net<T>(const Shape&, Index, ThreeLayerConvOptions);
STRATA_INSTANTIATE(float)
STRATA_INSTANTIATE(double)

}  // namespace strata::models
