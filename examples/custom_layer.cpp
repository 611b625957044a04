// A layer of your own: written with xtensor, proven by a gradient check, trained.

#include <iostream>
#include <strata/strata.hpp>

#include <xtensor/xmath.hpp>

namespace st = strata;

// Swish (Ramachandran et al., 2017): y = x s(b x), s the sigmoid, with one b learned per feature.
//   dy/dx = s + b x s (1 - s),   dy/db = x^2 s (1 - s)
template <class T>
class Swish final : public st::Layer<T> {
 public:
  explicit Swish(std::size_t features) : b_("b", st::full<T>({features}, 1)) {}
  std::unique_ptr<st::Layer<T>> clone() const override { return std::make_unique<Swish>(*this); }
  std::string type() const override { return "Swish"; }
  st::Shape output_shape(const st::Shape& input) const override {
    if (input.size() != 2 || input[1] != b_.value.size()) this->fail_shape("(N, features)", input);
    return input;
  }

 protected:
  st::Tensor<T> do_forward(st::Tensor<T> x, st::Record& record) override {
    return do_infer(record.keep(std::move(x)));  // backward will need x
  }
  st::Tensor<T> do_backward(st::Tensor<T> dy, st::Record& record) override {
    const auto x = record.take<st::Tensor<T>>();
    const st::Tensor<T> s = sigmoid(x), slope = x * s * (1 - s);
    b_.gradient = xt::sum(dy * x * slope, {0});  // every sample used the same b
    return dy * (s + b_.value * slope);
  }
  st::Tensor<T> do_infer(st::Tensor<T> x) const override { return x * sigmoid(x); }
  std::vector<st::Parameter<T>*> own_parameters() override { return {&b_}; }
  void reset_parameters(st::Random&) override { b_.value.fill(1); }

 private:
  st::Tensor<T> sigmoid(const st::Tensor<T>& x) const { return 1 / (1 + xt::exp(-b_.value * x)); }

  st::Parameter<T> b_;
};

int main() {
  // Is the mathematics right? In double, alone and between other layers.
  const auto x = st::Random(1).normal<double>({5, 4});
  const st::Sequential<double> sandwich{st::Linear<double>{4, 3}, Swish<double>{3}, st::Linear<double>{3, 2}};
  for (const st::GradientReport& report :
       {st::check_gradients(Swish<double>{4}, x), st::check_gradients(sandwich, x)}) {
    std::cout << report << '\n';
    if (!report.passed()) return 1;
  }

  // Does it learn? Points in the plane: is a point inside the ring 0.6 < |p| < 1.2?
  const auto points = st::Random(2).uniform<float>({1000, 2}, -1.5, 1.5);
  st::Labels inside;
  for (std::size_t n = 0; n < points.shape()[0]; ++n) {
    const float radius = std::hypot(points(n, 0), points(n, 1));
    inside.push_back(radius > 0.6f && radius < 1.2f);
  }
  st::Sequential<float> net{st::Linear<float>{2, 16}, Swish<float>{16}, st::Linear<float>{16, 16},
                            Swish<float>{16}, st::Linear<float>{16, 2}};
  net.initialize(/*seed=*/3);
  const st::SoftmaxCrossEntropy<float> loss;
  for (int step = 0; step <= 1500; ++step) {
    const auto [value, gradient] = loss(net.forward(points), inside);
    net.backward_parameters(gradient);
    for (st::Parameter<float>* parameter : net.parameters())
      parameter->value -= 0.2f * parameter->gradient;  // gradient descent
    if (step % 250 == 0) std::cout << "step " << step << "  loss " << value << '\n';
  }
  const double accuracy = st::accuracy(st::Inference<float>{net}(points), inside);
  std::cout << "accuracy " << accuracy << '\n';
  return accuracy > 0.95 ? 0 : 1;
}
