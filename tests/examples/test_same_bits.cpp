// The promise that runs can be compared: neither the number of threads nor what ran before changes a bit.
#include <algorithm>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "models/cifar.hpp"
#include "strata/framework/runtime/address_sanitizer.hpp"

namespace strata {
namespace {

#if defined(__SANITIZE_THREAD__)  // some twenty times slower, and every step does the same
constexpr Index kSteps = 4;
#else
constexpr Index kSteps = 50;
#endif
constexpr Index kBatch = 12, kClasses = 10;
const Shape kImage{3, 32, 32};

class Threads {
 public:
  ~Threads() { set_num_threads(before_); }
  void set(int count) const { set_num_threads(count); }

 private:
  int before_ = num_threads();
};

struct Result {
  StateDict state;
  std::vector<double> losses;
  double validation_loss;

  bool operator==(const Result&) const = default;
};

// Two epochs with augmentation, running statistics, (in vgg) dropout, and validation through infer.
template <class Net>
Result train(Net net) {
  net.initialize(3);
  SolverOptions<float> options{.epochs = 2, .batch_size = kBatch, .seed = 4};
  options.schedule = OneCycle{};
  options.augmentation = {.crop_padding = 4, .horizontal_flip = true, .cutout = 8};
  options.standardization = Standardization{{120, 120, 120}, {60, 60, 60}};
  options.max_gradient_norm = 5;
  options.keep_best = false;
  const Split data{synthetic(kBatch * kSteps / 2, 1), synthetic(30, 2)};
  const History history =
      Solver<float>(net, data, SGD<float>{{.learning_rate = 0.05, .momentum = 0.9, .weight_decay = 1e-3}},
                    options)
          .train();
  EXPECT_EQ(history.step_losses.size(), kSteps);
  return {capture(state_of(net, StateScope::all)), history.step_losses,
          history.epochs.back().validation_loss};
}

template <class MakeNet>
void expect_same_bits(const MakeNet& make_net) {
  const Threads threads;
  threads.set(1);
  const Result one = train(make_net());
  if (kSteps >= 50) {  // fewer need not show that it learns
    EXPECT_LT(*std::min_element(one.losses.begin(), one.losses.end()), one.losses.front());
  }
  for (const int count : {1, 2, 3, 5, 8}) {
    threads.set(count);
    EXPECT_TRUE(train(make_net()) == one) << "with " << count << " threads";
  }
}

TEST(SameBits, TrainingVggWithAnyNumberOfThreads) {
  expect_same_bits([] { return models::vgg<float>(kImage, kClasses); });
}
TEST(SameBits, TrainingResnetWithAnyNumberOfThreads) {
  expect_same_bits([] { return models::resnet<float>(kImage, kClasses); });
}

// One network, eight users at once, each with batches of their own.
template <class Net>
void expect_to_serve_eight(Net net) {
  constexpr int kUsers = 8, kRequests = 3;
  const Threads threads;
  net.initialize(3);
  net.forward(Random(5).normal<float>({8, 3, 32, 32}, 0.5, 2));  // so that running statistics are not 0 and 1
  std::vector<Tensor<float>> inputs, expected;
  threads.set(1);
  for (int user = 0; user < kUsers; ++user) {
    inputs.push_back(Random(6, user).normal<float>({static_cast<std::size_t>(1 + user % 5), 3, 32, 32}));
    expected.push_back(net.infer(inputs.back()));
  }
  threads.set(3);
  std::vector<int> wrong(kUsers);
  std::vector<std::thread> users;
  for (int user = 0; user < kUsers; ++user)
    users.emplace_back([&, user] {
      for (int request = 0; request < kRequests; ++request) {
        const int i = (user + request) % kUsers;
        wrong[user] += net.infer(inputs[i]) != expected[i];
      }
    });
  for (std::thread& user : users) user.join();
  EXPECT_EQ(wrong, std::vector<int>(kUsers));
}

TEST(SameBits, OneVggServesEightThreads) {
  expect_to_serve_eight(models::vgg<float>(kImage, kClasses));
}
TEST(SameBits, OneResnetServesEightThreads) {
  expect_to_serve_eight(models::resnet<float>(kImage, kClasses));
}

#if !STRATA_ADDRESS_SANITIZED  // under which blocks are not used again
template <class Net>
void expect_no_system_allocation(Net net) {
  const Threads threads;
  threads.set(1);  // with more, how many need scratch memory at once is up to chance
  net.initialize(3);
  SGD<float> optimizer{{.learning_rate = 0.01, .momentum = 0.9}};
  const SoftmaxCrossEntropy<float> loss;
  const Tensor<float> images = Random(1).normal<float>({16, 3, 32, 32});
  Labels labels(16);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % kClasses);
  const auto step = [&] {
    net.backward_parameters(loss(net.forward(images), labels).gradient);
    optimizer.step(net.parameters());
  };
  for (int i = 0; i < 3; ++i) step();
  const std::uint64_t before = memory_statistics().system_allocations;
  for (int i = 0; i < 10; ++i) step();
  EXPECT_EQ(memory_statistics().system_allocations, before);
}

TEST(SteadyStep, OfVggAsksTheSystemForNothing) {
  expect_no_system_allocation(models::vgg<float>(kImage, kClasses));
}
TEST(SteadyStep, OfResnetAsksTheSystemForNothing) {
  expect_no_system_allocation(models::resnet<float>(kImage, kClasses));
}
#endif

}  // namespace
}  // namespace strata
