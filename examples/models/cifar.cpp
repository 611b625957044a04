#include "models/cifar.hpp"

namespace strata::models {

template <class T>
Sequential<T> quick(const Shape& sample, Index classes, Norm norm) {
  const auto conv = [&](Sequential<T>& net, Index in, Index out) {
    net.add(Conv2D<T>{in, out, 5, {.padding = 2, .bias = norm == Norm::none}});
    if (auto layer = image_norm<T>(norm, out)) net.add(std::move(layer));
  };
  Sequential<T> features;
  conv(features, static_cast<Index>(sample.at(0)), 32);
  features.add(MaxPool2D<T>{3, {.stride = 2}}).add(ReLU<T>{});
  conv(features, 32, 32);
  features.add(ReLU<T>{}).add(AvgPool2D<T>{3, {.stride = 2}});
  conv(features, 32, 64);
  features.add(ReLU<T>{}).add(AvgPool2D<T>{3, {.stride = 2}});
  features.add(Flatten<T>{});

  const Index width = features_of(features, sample);
  Sequential<T> net;
  net.add("features", std::move(features));
  net.add("classifier", Sequential<T>{Linear<T>{width, 64}, Linear<T>{64, classes}});
  return net;
}

template <class T>
Sequential<T> vgg(const Shape& sample, Index classes, Norm norm) {
  Sequential<T> features;
  auto in = static_cast<Index>(sample.at(0));
  for (const Index out : {32, 64, 128}) {
    conv_norm_relu(features, in, out, 3, norm);
    conv_norm_relu(features, out, out, 3, norm);
    features.add(MaxPool2D<T>{2});
    in = out;
  }
  features.add(Flatten<T>{});

  Sequential<T> classifier;
  linear_norm_relu(classifier, features_of(features, sample), 256, norm, 0.5);
  classifier.add(Linear<T>{256, classes});

  Sequential<T> net;
  net.add("features", std::move(features));
  net.add("classifier", std::move(classifier));
  return net;
}

namespace {

// Adds "NAME.conv" and, unless there is no norm, "NAME.norm", and returns the name of the last.
template <class T>
std::string conv_norm(Graph<T>& net, const std::string& name, Index in, Index out, Size2D kernel,
                      Index stride, Norm norm, const std::string& input) {
  net.add(name + ".conv",
          Conv2D<T>{in, out, kernel, {.stride = stride, .padding = kernel.h / 2, .bias = norm == Norm::none}},
          input);
  auto layer = image_norm<T>(norm, out);
  if (!layer) return name + ".conv";
  net.add(name + ".norm", std::move(layer), name + ".conv");
  return name + ".norm";
}

// relu(x' + norm(conv(relu(norm(conv(x)))))); x' is x, or its 1x1 convolution where the shape changes.
template <class T>
std::string residual_block(Graph<T>& net, const std::string& name, Index in, Index out, Index stride,
                           Norm norm, const std::string& input) {
  const std::string first = conv_norm(net, name + ".1", in, out, 3, stride, norm, input);
  net.add(name + ".1.relu", ReLU<T>{}, first);
  const std::string second = conv_norm(net, name + ".2", out, out, 3, 1, norm, name + ".1.relu");
  const bool same_shape = in == out && stride == 1;
  const std::string shortcut =
      same_shape ? input : conv_norm(net, name + ".shortcut", in, out, 1, stride, norm, input);
  net.join(name + ".sum", Add<T>{}, {second, shortcut});
  net.add(name + ".relu", ReLU<T>{}, name + ".sum");
  return name + ".relu";
}

}  // namespace

template <class T>
Graph<T> resnet(const Shape& sample, Index classes, Norm norm) {
  Graph<T> net;
  net.input("image");
  net.add("stem.relu", ReLU<T>{},
          conv_norm(net, "stem", static_cast<Index>(sample.at(0)), 16, 3, 1, norm, "image"));
  std::string last = "stem.relu";
  last = residual_block(net, "block1", 16, 16, 1, norm, last);
  last = residual_block(net, "block2", 16, 32, 2, norm, last);
  last = residual_block(net, "block3", 32, 64, 2, norm, last);
  net.add("pool", GlobalAvgPool2D<T>{}, last);
  net.add("flatten", Flatten<T>{}, "pool");
  net.add("classifier", Linear<T>{64, classes}, "flatten");
  net.output("classifier");
  return net;
}

#define STRATA_INSTANTIATE(T)                                 \
  template Sequential<T> quick<T>(const Shape&, Index, Norm); \
  template Sequential<T> vgg<T>(const Shape&, Index, Norm);   \
  template Graph<T> resnet<T>(const Shape&, Index, Norm);
STRATA_INSTANTIATE(float)
STRATA_INSTANTIATE(double)

}  // namespace strata::models
