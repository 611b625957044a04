// A user's program: a layer of its own in a small network that it trains, saves, loads and uses.
#include <cmath>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <strata/strata.hpp>
#include <string>
#include <utility>

namespace {

/// y = x^2
class Square : public strata::Layer<float> {
 public:
  std::string type() const override { return "Square"; }
  std::unique_ptr<strata::Layer<float>> clone() const override { return std::make_unique<Square>(*this); }
  strata::Shape output_shape(const strata::Shape& input) const override { return input; }

 protected:
  strata::Tensor<float> do_forward(strata::Tensor<float> x, strata::Record& record) override {
    return do_infer(record.keep(std::move(x)));
  }
  strata::Tensor<float> do_backward(strata::Tensor<float> dy, strata::Record& record) override {
    const auto x = record.take<strata::Tensor<float>>();
    return 2.0f * x * dy;
  }
  strata::Tensor<float> do_infer(strata::Tensor<float> x) const override { return x * x; }
};

strata::Sequential<float> network() {
  using namespace strata;
  return Sequential<float>{Conv2D<float>{3, 8, 5, {.stride = 2, .padding = 2}},
                           SpatialBatchNorm<float>{8},
                           ReLU<float>{},
                           MaxPool2D<float>{4},
                           Square{},
                           Flatten<float>{},
                           Linear<float>{8 * 4 * 4, 10}};
}

void expect(bool right, const char* what) {
  if (!right) throw std::runtime_error(what);
}

void run(const std::string& file) {
  strata::manual_seed(1);
  strata::Sequential<float> trained = network();
  const strata::Split data = strata::split(strata::synthetic(600, 1), 0.1, 2);
  strata::Solver<float> solver(trained, data, strata::Adam<float>{{.learning_rate = 5e-3}},
                               {.epochs = 2, .batch_size = 32});
  const strata::History history = solver.train();
  expect(std::isfinite(history.epochs.back().train_loss), "the loss is not finite");
  expect(history.epochs.back().train_loss < history.epochs.front().train_loss, "the loss does not fall");

  strata::save_weights(trained, file);
  strata::Sequential<float> loaded = network();
  strata::load_weights(loaded, file);
  const strata::Inference<float> model{loaded};
  trained.eval();
  const auto x = strata::Random(3).normal<float>({4, 3, 32, 32});
  const strata::Tensor<float> expected = trained.infer(x), y = model(x);
  expect(y.shape() == expected.shape(), "another shape after loading");
  for (std::size_t i = 0; i < y.size(); ++i)
    expect(std::abs(y.data()[i] - expected.data()[i]) < 1e-3f, "another value after loading");

  try {  // an exception crosses the border of the library with its type
    model(strata::Random(3).normal<float>({4, 5, 32, 32}));
    expect(false, "no error for five channels");
  } catch (const strata::ShapeError&) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc > 1 ? argv[1] : "consumer.safetensors");
    std::cout << "strata " << strata::version() << ": trained, saved, loaded, inferred\n";
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "consumer: " << error.what() << '\n';
    return 1;
  }
}
