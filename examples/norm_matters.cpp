// Why normalization matters: one deep network, three times - with batch normalization, with instance
// normalization and with none. Same data, same seed, same optimizer; only the norm differs.
#include <cmath>
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "models/blocks.hpp"
#include "support/number_checks.hpp"
#include "support/program.hpp"

namespace st = strata;
using st::models::Norm;

namespace {

// Fourteen convolutions in a row, none of them with a shortcut around it: deep enough that signals and
// gradients fade unless something keeps their scale.
st::Sequential<float> deep_net(Norm norm) {
  st::Sequential<float> net;
  st::models::conv_norm_relu(net, 3, 16, 3, norm);
  net.add(st::MaxPool2D<float>{2});
  for (int block = 0; block < 2; ++block) {
    for (int layer = 0; layer < 6; ++layer) st::models::conv_norm_relu(net, 16, 16, 3, norm);
    net.add(st::MaxPool2D<float>{2});
  }
  st::models::conv_norm_relu(net, 16, 32, 3, norm);
  // Not a global average: after instance norm the mean of a channel is the same for every image.
  net.add(st::Flatten<float>{}).add(st::Linear<float>{32 * 4 * 4, 10});
  return net;
}

int compare(st::Index samples, st::Index epochs) {
  const auto train_set = st::synthetic(samples, 1);
  const auto test_set = st::synthetic(1000, 2);
  const st::Standardization standardization = st::standardization_of(*train_set);

  fmt::print("{:<12}{:>12}{:>20}{:>16}\n", "norm", "train loss", "training accuracy", "test accuracy");
  for (const auto& [name, norm] :
       {std::pair{"batch", Norm::batch}, {"instance", Norm::instance}, {"none", Norm::none}}) {
    auto net = deep_net(norm);
    net.initialize(3);
    st::Solver<float> solver{
        net,
        {train_set, nullptr},
        st::SGD<float>{{.learning_rate = 0.02, .momentum = 0.9}},
        {.epochs = epochs, .batch_size = 50, .schedule = st::OneCycle{}, .standardization = standardization}};
    const st::History history = solver.train();
    const st::Evaluation test =
        st::evaluate<float>(net, test_set, {.standardization = standardization, .check_finite = true});
    fmt::print("{:<12}{:>12.4f}{:>20.4f}{:>16.4f}\n", name, history.epochs.back().train_loss,
               history.epochs.back().train_accuracy, test.accuracy);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Trains one deep network with batch, instance and no normalization, and compares."};
  st::Index samples = 4000, epochs = 5;
  app.add_option("--samples", samples, "training images")
      ->check(CLI::Range(100, 100000))
      ->capture_default_str();
  app.add_option("--epochs", epochs)->check(st::support::above_zero())->capture_default_str();
  return st::support::run(app, argc, argv, [&] { return compare(samples, epochs); });
}
