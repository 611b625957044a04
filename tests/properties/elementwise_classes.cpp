// Activations, dropout, and the layers that only move elements.
#include "strata/layers/reference/upsample.hpp"
#include "tests/properties/subject.hpp"

namespace strata::testing {
namespace {

// y = f(x) and dx = dy f'(x) element by element.
template <class T, class L>
Subject<T> activation(const L& layer, Random& random, double (*f)(double, double),
                      double (*derivative)(double, double), double slope = 0) {
  return {layer.clone(), random_shape(random, 1, 5, 7),
          [=](bool, const Tensor<double>& x, const Tensor<double>& dy) {
            Tensor<double> y = x, dx = dy;
            for (double& value : y) value = f(value, slope);
            for (std::size_t i = 0; i < x.size(); ++i) dx.data()[i] *= derivative(x.data()[i], slope);
            return Outcome{{y}, {dx, largest(dy)}, {}, {}};
          }};
}

double rectify(double x, double slope) {
  return x > 0 ? x : slope * x;
}
double rectify_derivative(double x, double slope) {
  return x > 0 ? 1 : slope;
}
double sigmoid(double x, double) {
  return 1 / (1 + std::exp(-x));
}
double sigmoid_derivative(double x, double) {
  return sigmoid(x, 0) * sigmoid(-x, 0);
}
double hyperbolic_tangent(double x, double) {
  return std::tanh(x);
}
double hyperbolic_tangent_derivative(double x, double) {
  return 1 / (std::cosh(x) * std::cosh(x));
}

template <class T>
Subject<T> relu(Random& random) {
  return activation<T>(ReLU<T>(), random, rectify, rectify_derivative);
}

template <class T>
Subject<T> leaky_relu(Random& random) {
  const double slope = random.normal();
  return activation<T>(LeakyReLU<T>(slope), random, rectify, rectify_derivative, slope);
}

template <class T>
Subject<T> sigmoid_layer(Random& random) {
  return activation<T>(Sigmoid<T>(), random, sigmoid, sigmoid_derivative);
}

template <class T>
Subject<T> tanh_layer(Random& random) {
  return activation<T>(Tanh<T>(), random, hyperbolic_tangent, hyperbolic_tangent_derivative);
}

// Unit u of a step is dropped if word u of the stream (seed, step) is below p 2^32.
template <class T>
Subject<T> dropout_of(Layer<T>& layer, const Shape& shape, Index unit, double p, Random& random) {
  layer.initialize(random.bits());
  const auto seed = *std::get<std::int64_t*>(layer.named_buffers()[0].value);
  std::uint64_t step = 0;
  return {layer.clone(), shape,
          [=](bool training, const Tensor<double>& x, const Tensor<double>& dy) mutable {
            Outcome outcome{{x}, {dy}, {}, {}};
            if (training) {
              const Random words(combine_seeds(static_cast<std::uint64_t>(seed), ""), step++);
              for (Index i = 0; i < static_cast<Index>(x.size()); ++i) {
                const auto u = static_cast<std::uint64_t>(i / unit);
                const double factor = words.block(u / 4)[u % 4] < std::round(p * 0x1p32) ? 0 : 1 / (1 - p);
                outcome.y.value.data()[i] *= factor;
                outcome.dx.value.data()[i] *= factor;
              }
            }
            outcome.buffers = {{static_cast<double>(seed)}, {static_cast<double>(step)}};
            return outcome;
          }};
}

template <class T>
Subject<T> dropout(Random& random) {
  const double p = coin(random) ? random.uniform() : 0.5;
  Dropout<T> layer(p);
  return dropout_of<T>(layer, random_shape(random, 1, 5, 7), 1, p, random);
}

template <class T>
Subject<T> dropout_2d(Random& random) {
  const double p = coin(random) ? random.uniform() : 0.5;
  Dropout2D<T> layer(p);
  const Shape shape = random_shape(random, 4, 4, 9);
  return dropout_of<T>(layer, shape, static_cast<Index>(shape[2] * shape[3]), p, random);
}

template <class T>
Subject<T> flatten(Random& random) {
  const Shape shape = random_shape(random, 2, 5, 7);
  return {std::make_unique<Flatten<T>>(), shape, [=](bool, Tensor<double> x, const Tensor<double>& dy) {
            Tensor<double> dx = dy;
            x.reshape({shape[0], x.size() / shape[0]});
            dx.reshape(shape);
            return Outcome{{x}, {dx}, {}, {}};
          }};
}

template <class T>
Subject<T> upsample_2d(Random& random) {
  const Size2D scale = pick_size(random, 1, 5);
  return {std::make_unique<Upsample2D<T>>(scale), random_shape(random, 4, 4, 6),
          [=](bool, const Tensor<double>& x, const Tensor<double>& dy) {
            Outcome outcome{{empty<double>(dy.shape())}, {empty<double>(x.shape())}, {}, {}};
            const auto planes = static_cast<Index>(x.shape()[0] * x.shape()[1]);
            const Size2D size(static_cast<Index>(x.shape()[2]), static_cast<Index>(x.shape()[3]));
            reference::upsample(planes, size, scale, x.data(), outcome.y.value.data());
            reference::upsample_backward(planes, size, scale, dy.data(), outcome.dx.value.data());
            outcome.dx.scale = largest(dy) * static_cast<double>(scale.h * scale.w);
            return outcome;
          }};
}

}  // namespace

std::vector<LayerClass> elementwise_classes() {
  return {{"ReLU", relu<float>, relu<double>},
          {"LeakyReLU", leaky_relu<float>, leaky_relu<double>},
          {"Sigmoid", sigmoid_layer<float>, sigmoid_layer<double>},
          {"Tanh", tanh_layer<float>, tanh_layer<double>},
          {"Dropout", dropout<float>, dropout<double>},
          {"Dropout2D", dropout_2d<float>, dropout_2d<double>},
          {"Flatten", flatten<float>, flatten<double>},
          {"Upsample2D", upsample_2d<float>, upsample_2d<double>}};
}

}  // namespace strata::testing
