#include "tests/properties/random_networks.hpp"

#include "tests/properties/subject.hpp"

namespace strata::testing {
namespace {

using LayerPointer = std::unique_ptr<Layer<double>>;

template <class L>
LayerPointer made(L layer) {
  return std::make_unique<L>(std::move(layer));
}

LayerPointer convolution(Random& random, Index in, Index least_size) {
  const Index out = random.below(4) == 0 ? 16 : pick(random, 1, 5);
  const Index kernel = least_size >= 3 && coin(random) ? 3 : 1;
  const bool bias = coin(random);
  if (random.below(5) == 0) return made(ConvTranspose2D<double>{in, out, kernel, {.bias = bias}});
  return made(Conv2D<double>{
      in, out, kernel, {.stride = random.below(4) == 0 ? 2 : 1, .padding = kernel / 2, .bias = bias}});
}

LayerPointer norm(Random& random, Index channels) {
  const bool affine = random.below(4) != 0;
  switch (random.below(4)) {
    case 0:
      return made(InstanceNorm2D<double>{
          channels, {.eps = 0.1, .affine = affine, .track_running_stats = coin(random)}});
    case 1:
      return made(GroupNorm<double>{1, channels, {.eps = 0.1, .affine = affine}});
    default:
      return made(SpatialBatchNorm<double>{
          channels, {.eps = 0.1, .affine = affine, .track_running_stats = random.below(4) != 0}});
  }
}

LayerPointer elementwise(Random& random) {
  switch (random.below(6)) {
    case 0:
      return made(LeakyReLU<double>{0.2});
    case 1:
      return made(Sigmoid<double>{});
    case 2:
      return made(Tanh<double>{});
    case 3:
      return made(Dropout<double>{0.3});
    default:
      return made(ReLU<double>{});
  }
}

// x + f(x), where f keeps the shape.
LayerPointer residual_block(Random& random, Index channels) {
  Graph<double> block;
  block.input("x").add("conv", Conv2D<double>{channels, channels, 3, {.padding = 1, .bias = coin(random)}},
                       "x");
  block.add("norm", norm(random, channels), "conv").add("act", elementwise(random), "norm");
  block.join("sum", Add<double>{}, {"act", "x"});
  if (coin(random)) return made(std::move(block.output("sum")));
  block.add("relu", ReLU<double>{}, "sum").output("relu");
  return made(std::move(block));
}

LayerPointer layer_of_images(Random& random, const Shape& shape, int depth) {
  const auto channels = static_cast<Index>(shape[1]),
             least = static_cast<Index>(std::min(shape[2], shape[3]));
  switch (random.below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return convolution(random, channels, least);
    case 4:
    case 5:
    case 6:
      return norm(random, channels);
    case 7:
      return least < 2 ? made(GlobalAvgPool2D<double>{}) : made(MaxPool2D<double>{2});
    case 8:
      return least < 2 ? made(Flatten<double>{}) : made(AvgPool2D<double>{2});
    case 9:
      return least > 4 ? made(Dropout2D<double>{0.3}) : made(Upsample2D<double>{2});
    case 10:
      return made(LayerNorm<double>{{shape[1], shape[2], shape[3]}, {.eps = 0.1}});
    case 11:
      return residual_block(random, channels);
    case 12: {
      if (depth > 1) return elementwise(random);
      Shape inner = shape;
      Sequential<double> nested;
      for (Index layers = pick(random, 0, 3); layers-- > 0;)
        nested.add(random_layer(random, inner, depth + 1));
      return made(std::move(nested));
    }
    default:
      return elementwise(random);
  }
}

LayerPointer layer_of_features(Random& random, Index features) {
  switch (random.below(4)) {
    case 0:
      return made(BatchNorm1D<double>{features, {.eps = 0.1}});
    case 1:
      return elementwise(random);
    default:
      return made(Linear<double>{features, pick(random, 1, 7), {.bias = coin(random)}});
  }
}

}  // namespace

std::unique_ptr<Layer<double>> random_layer(Random& random, Shape& shape, int depth) {
  LayerPointer layer = shape.size() == 4 ? layer_of_images(random, shape, depth)
                                         : layer_of_features(random, static_cast<Index>(shape[1]));
  shape = layer->output_shape(shape);
  for (Parameter<double>* parameter : layer->parameters())
    parameter->value += random.normal<double>(parameter->value.shape(), 0, 0.2);
  return layer;
}

std::vector<std::string> layer_names(Layer<double>& net) {
  std::vector<std::string> names;
  for (const auto& child : net.children()) names.push_back(child.name);
  return names;
}

template <>
Sequential<double> random_network(Random& random, const Shape& input) {
  Sequential<double> net;
  Shape shape = input;
  for (Index layers = pick(random, 1, 7); layers-- > 0;) net.add(random_layer(random, shape));
  return net;
}

template <>
Graph<double> random_network(Random& random, const Shape& input) {
  Graph<double> net;
  net.input("x");
  Shape shape = input;
  std::string last = "x";
  for (Index layers = pick(random, 1, 6); layers-- > 0;) {
    const std::string name = "n" + std::to_string(layers);
    const Shape before = shape;
    net.add(name, random_layer(random, shape), last);
    if (shape == before && coin(random)) {
      net.join("sum of " + name, Add<double>{}, {name, last});
      last = "sum of " + name;
    } else {
      last = name;
    }
  }
  net.output(last);
  return net;
}

}  // namespace strata::testing
