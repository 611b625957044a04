// Training as a program does it, on drawn images that no training saw before.
#include <gtest/gtest.h>

#include "strata/framework/data/augmentation.hpp"
#include "strata/framework/data/synthetic.hpp"
#include "strata/framework/graph/sequential.hpp"
#include "strata/layers/convolution/conv_2d.hpp"
#include "strata/layers/flatten.hpp"
#include "strata/layers/linear.hpp"
#include "strata/layers/normalization/batch_norm.hpp"
#include "strata/layers/pooling/max_pool_2d.hpp"
#include "strata/layers/relu.hpp"
#include "strata/optim/adam.hpp"
#include "strata/optim/evaluation.hpp"
#include "strata/optim/solver.hpp"

namespace strata {
namespace {

// Accuracy on 1000 images of another seed.
double trained_accuracy(Sequential<float> net, Index count, Index epochs, double learning_rate) {
  const auto train = synthetic(count, 1), test = synthetic(1000, 2);
  const Standardization standardization = standardization_of(*train);
  net.initialize(1);
  Solver<float> solver{
      net,
      {train, nullptr},
      Adam<float>{{.learning_rate = learning_rate}},
      {.epochs = epochs, .batch_size = 50, .schedule = OneCycle{}, .standardization = standardization}};
  solver.train();
  return evaluate<float>(net, test, {.standardization = standardization}).accuracy;
}

TEST(EndToEnd, AConvolutionalNetworkLearnsTheShapes) {
  const Sequential<float> net{Conv2D<float>{3, 16, 5, {.stride = 2, .padding = 2, .bias = false}},
                              SpatialBatchNorm<float>{16},
                              ReLU<float>{},
                              MaxPool2D<float>{2},
                              Conv2D<float>{16, 32, 5, {.padding = 2, .bias = false}},
                              SpatialBatchNorm<float>{32},
                              ReLU<float>{},
                              MaxPool2D<float>{2},
                              Flatten<float>{},
                              Linear<float>{32 * 4 * 4, 10}};
  EXPECT_GE(trained_accuracy(net, 8000, 5, 1e-2), 0.95);
}

// The set is not so easy that a template per class would do.
TEST(EndToEnd, ALinearClassifierDoesNot) {
  const Sequential<float> net{Flatten<float>{}, Linear<float>{3 * 32 * 32, 10}};
  EXPECT_LT(trained_accuracy(net, 2000, 10, 1e-3), 0.70);
}

}  // namespace
}  // namespace strata
