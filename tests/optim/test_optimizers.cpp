#include <cmath>
#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/error.hpp"
#include "strata/framework/random.hpp"
#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/optim/adagrad.hpp"
#include "strata/optim/adam.hpp"
#include "strata/optim/gradient_norm.hpp"
#include "strata/optim/rms_prop.hpp"
#include "strata/optim/sgd.hpp"

namespace strata {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr int kSteps = 20;

// The value of one element after each step, straight from the formula: w and g as the rule sees them, t
// from 1.
using Rule = std::function<double(double w, double g, int t)>;

template <class T>
double tolerance() {
  return std::is_same_v<T, float> ? 2e-5 : 1e-13;
}

// Runs the optimizer and a rule for each element side by side, with gradients that change in every step.
template <class T>
void expect_follows(Optimizer<T>& optimizer, const std::function<Rule()>& make_rule, bool decay = true) {
  Random random(7);
  const Shape shape{3, 5, 7};
  Parameter<T> parameter("weight", random.normal<T>(shape), decay);
  const std::size_t count = parameter.value.size();
  std::vector<double> expected(parameter.value.begin(), parameter.value.end());
  std::vector<Rule> rules;
  for (std::size_t i = 0; i < count; ++i) rules.push_back(make_rule());
  for (int t = 1; t <= kSteps; ++t) {
    parameter.gradient = random.normal<T>(shape);
    for (std::size_t i = 0; i < count; ++i)
      expected[i] = rules[i](expected[i], static_cast<double>(parameter.gradient.data()[i]), t);
    optimizer.step({&parameter});
    for (std::size_t i = 0; i < count; ++i)
      ASSERT_NEAR(static_cast<double>(parameter.value.data()[i]), expected[i],
                  tolerance<T>() * (1 + std::abs(expected[i])))
          << optimizer.type() << ", step " << t << ", element " << i;
  }
}

template <class T>
class Optimizers : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(Optimizers, Scalars);

TYPED_TEST(Optimizers, SGDIsPlainDescent) {
  SGD<TypeParam> optimizer{{.learning_rate = 0.1, .weight_decay = 0.02}};
  expect_follows<TypeParam>(optimizer,
                            [] { return [](double w, double g, int) { return w - 0.1 * (g + 0.02 * w); }; });
}

TYPED_TEST(Optimizers, MomentumStartsWithTheFirstGradientWhateverTheDampening) {
  SGD<TypeParam> optimizer{{.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.4, .weight_decay = 0.02}};
  expect_follows<TypeParam>(optimizer, [] {
    return [b = 0.0](double w, double g, int t) mutable {
      g += 0.02 * w;
      b = t == 1 ? g : 0.9 * b + 0.6 * g;
      return w - 0.1 * b;
    };
  });
}

TYPED_TEST(Optimizers, NesterovLooksAhead) {
  SGD<TypeParam> optimizer{{.learning_rate = 0.05, .momentum = 0.8, .weight_decay = 0.01, .nesterov = true}};
  expect_follows<TypeParam>(optimizer, [] {
    return [b = 0.0](double w, double g, int) mutable {
      g += 0.01 * w;
      b = 0.8 * b + g;
      return w - 0.05 * (g + 0.8 * b);
    };
  });
}

TYPED_TEST(Optimizers, Adagrad) {
  Adagrad<TypeParam> optimizer{{.learning_rate = 0.1,
                                .learning_rate_decay = 0.3,
                                .weight_decay = 0.02,
                                .initial_accumulator_value = 0.5,
                                .eps = 1e-3}};
  expect_follows<TypeParam>(optimizer, [] {
    return [s = 0.5](double w, double g, int t) mutable {
      g += 0.02 * w;
      s += g * g;
      return w - 0.1 / (1 + 0.3 * (t - 1)) * g / (std::sqrt(s) + 1e-3);
    };
  });
}

TYPED_TEST(Optimizers, RMSProp) {
  RMSProp<TypeParam> optimizer{{.learning_rate = 0.02, .alpha = 0.8, .eps = 1e-3, .weight_decay = 0.02}};
  expect_follows<TypeParam>(optimizer, [] {
    return [v = 0.0](double w, double g, int) mutable {
      g += 0.02 * w;
      v = 0.8 * v + 0.2 * g * g;
      return w - 0.02 * g / (std::sqrt(v) + 1e-3);
    };
  });
}

TYPED_TEST(Optimizers, RMSPropWithMomentum) {
  RMSProp<TypeParam> optimizer{{.learning_rate = 0.02, .alpha = 0.8, .eps = 1e-3, .momentum = 0.7}};
  expect_follows<TypeParam>(optimizer, [] {
    return [v = 0.0, b = 0.0](double w, double g, int) mutable {
      v = 0.8 * v + 0.2 * g * g;
      b = 0.7 * b + g / (std::sqrt(v) + 1e-3);
      return w - 0.02 * b;
    };
  });
}

TYPED_TEST(Optimizers, RMSPropCentered) {
  for (const double momentum : {0.0, 0.7}) {
    RMSProp<TypeParam> optimizer{
        {.learning_rate = 0.02, .alpha = 0.8, .eps = 1e-2, .momentum = momentum, .centered = true}};
    expect_follows<TypeParam>(optimizer, [momentum] {
      return [momentum, v = 0.0, a = 0.0, b = 0.0](double w, double g, int) mutable {
        v = 0.8 * v + 0.2 * g * g;
        a = 0.8 * a + 0.2 * g;
        b = momentum * b + g / (std::sqrt(v - a * a) + 1e-2);
        return w - 0.02 * b;
      };
    });
  }
}

TYPED_TEST(Optimizers, AdamAddsDecayToTheGradient) {
  Adam<TypeParam> optimizer{
      {.learning_rate = 0.03, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1}};
  expect_follows<TypeParam>(optimizer, [] {
    return [m = 0.0, v = 0.0](double w, double g, int t) mutable {
      g += 0.1 * w;
      m = 0.8 * m + 0.2 * g;
      v = 0.95 * v + 0.05 * g * g;
      return w - 0.03 * (m / (1 - std::pow(0.8, t))) / (std::sqrt(v / (1 - std::pow(0.95, t))) + 1e-3);
    };
  });
}

TYPED_TEST(Optimizers, AdamWDecaysTheValueItself) {
  AdamW<TypeParam> optimizer{
      {.learning_rate = 0.03, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1}};
  expect_follows<TypeParam>(optimizer, [] {
    return [m = 0.0, v = 0.0](double w, double g, int t) mutable {
      w *= 1 - 0.03 * 0.1;
      m = 0.8 * m + 0.2 * g;
      v = 0.95 * v + 0.05 * g * g;
      return w - 0.03 * (m / (1 - std::pow(0.8, t))) / (std::sqrt(v / (1 - std::pow(0.95, t))) + 1e-3);
    };
  });
}

TYPED_TEST(Optimizers, DefaultsArePyTorchs) {
  EXPECT_EQ(SGD<TypeParam>{}.learning_rate(), 1e-3);
  EXPECT_EQ(Adagrad<TypeParam>{}.learning_rate(), 1e-2);
  EXPECT_EQ(RMSProp<TypeParam>{}.learning_rate(), 1e-2);
  EXPECT_EQ(Adam<TypeParam>{}.learning_rate(), 1e-3);
  EXPECT_EQ(AdamW<TypeParam>{}.options().weight_decay, 1e-2);
  Adam<TypeParam> adam;
  expect_follows<TypeParam>(adam, [] {
    return [m = 0.0, v = 0.0](double w, double g, int t) mutable {
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      return w - 1e-3 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    };
  });
}

// One optimizer of every kind, with a decay that cannot be overlooked.
template <class T>
std::vector<std::unique_ptr<Optimizer<T>>> all_with_decay(bool decay_all) {
  std::vector<std::unique_ptr<Optimizer<T>>> all;
  all.push_back(SGD<T>{{.learning_rate = 0.1, .weight_decay = 0.5, .decay_all = decay_all}}.clone());
  all.push_back(
      SGD<T>{{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.5, .decay_all = decay_all}}.clone());
  all.push_back(Adagrad<T>{{.learning_rate = 0.1, .weight_decay = 0.5, .decay_all = decay_all}}.clone());
  all.push_back(RMSProp<T>{{.learning_rate = 0.1, .weight_decay = 0.5, .decay_all = decay_all}}.clone());
  all.push_back(Adam<T>{{.learning_rate = 0.1, .weight_decay = 0.5, .decay_all = decay_all}}.clone());
  all.push_back(AdamW<T>{{.learning_rate = 0.1, .weight_decay = 0.5, .decay_all = decay_all}}.clone());
  return all;
}

TYPED_TEST(Optimizers, DecayLeavesBiasesAndNormsAloneUnlessAsked) {
  using T = TypeParam;
  const Tensor<T> start{1, -2, 3};
  for (const bool decay_all : {false, true})
    for (const auto& optimizer : all_with_decay<T>(decay_all)) {
      Parameter<T> weight("weight", start), bias("bias", start, /*decay=*/false);
      optimizer->step({&weight, &bias});  // the gradients are zero: only decay moves anything
      EXPECT_NE(weight.value, start) << optimizer->type();
      EXPECT_EQ(bias.value, decay_all ? weight.value : start) << optimizer->type();
    }
}

TYPED_TEST(Optimizers, FrozenParametersStayUntouched) {
  using T = TypeParam;
  const Tensor<T> start{1, -2, 3};
  for (const auto& optimizer : all_with_decay<T>(true)) {
    Parameter<T> frozen("weight", start), free("weight", start);
    frozen.trainable = false;
    frozen.gradient = free.gradient = Tensor<T>{1, 1, 1};
    optimizer->step({&frozen, &free});
    EXPECT_EQ(frozen.value, start) << optimizer->type();
    EXPECT_NE(free.value, start) << optimizer->type();
    for (const Buffer<T>& buffer : optimizer->state()) {
      if (buffer.name != "0.step") continue;
      EXPECT_EQ(*std::get<std::int64_t*>(buffer.value), 0);
    }
  }
}

TYPED_TEST(Optimizers, StateMovesToAnotherOptimizerThroughItsViews) {
  using T = TypeParam;
  Random random(3);
  for (const auto& optimizer : all_with_decay<T>(false)) {
    Parameter<T> a("weight", random.normal<T>({4, 5}));
    const Tensor<T> gradient = random.normal<T>({4, 5});
    a.gradient = gradient;
    const std::unique_ptr<Optimizer<T>> fresh = optimizer->clone();
    EXPECT_TRUE(fresh->state().empty());
    for (int i = 0; i < 3; ++i) optimizer->step({&a});

    Parameter<T> b = a, c = a;
    fresh->prepare({&b});
    const auto from = optimizer->state(), to = fresh->state();
    ASSERT_EQ(from.size(), to.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      ASSERT_EQ(from[i].name, to[i].name);
      if (const auto* tensor = std::get_if<Tensor<T>*>(&from[i].value))
        *std::get<Tensor<T>*>(to[i].value) = **tensor;
      else
        *std::get<std::int64_t*>(to[i].value) = *std::get<std::int64_t*>(from[i].value);
    }
    const std::unique_ptr<Optimizer<T>> copy = optimizer->clone();
    optimizer->step({&a});
    fresh->step({&b});
    copy->step({&c});
    EXPECT_EQ(a.value, b.value) << optimizer->type();
    EXPECT_EQ(a.value, c.value) << optimizer->type();
  }
}

TYPED_TEST(Optimizers, StateIsNamedAsInPyTorch) {
  const auto names = [](Optimizer<TypeParam>&& optimizer) {
    Parameter<TypeParam> parameter("weight", Tensor<TypeParam>{1});
    optimizer.prepare({&parameter});
    std::vector<std::string> all;
    for (const auto& buffer : optimizer.state()) all.push_back(buffer.name);
    return all;
  };
  using testing::ElementsAre;
  EXPECT_THAT(names(SGD<TypeParam>{}), ElementsAre("0.step"));
  EXPECT_THAT(names(SGD<TypeParam>{{.momentum = 0.9}}), ElementsAre("0.momentum_buffer", "0.step"));
  EXPECT_THAT(names(Adagrad<TypeParam>{}), ElementsAre("0.sum", "0.step"));
  EXPECT_THAT(names(RMSProp<TypeParam>{{.momentum = 0.9, .centered = true}}),
              ElementsAre("0.square_avg", "0.grad_avg", "0.momentum_buffer", "0.step"));
  EXPECT_THAT(names(Adam<TypeParam>{}), ElementsAre("0.exp_avg", "0.exp_avg_sq", "0.step"));
  EXPECT_THAT(names(AdamW<TypeParam>{}), ElementsAre("0.exp_avg", "0.exp_avg_sq", "0.step"));
}

TYPED_TEST(Optimizers, LargeParametersHaveTheSameBitsWithAnyNumberOfThreads) {
  using T = TypeParam;
  const int threads_before = num_threads();
  Random random(5);
  const Tensor<T> value = random.normal<T>({100'003}), gradient = random.normal<T>({100'003});
  for (std::size_t kind = 0; kind < all_with_decay<T>(false).size(); ++kind) {
    Tensor<T> first;
    double first_norm = 0;
    for (const int threads : {1, 2, 3}) {
      set_num_threads(threads);
      const auto optimizer = std::move(all_with_decay<T>(false)[kind]);
      Parameter<T> parameter("weight", value);
      parameter.gradient = gradient;
      const double norm = clip_gradient_norm<T>({&parameter}, 1.0);
      optimizer->step({&parameter});
      if (threads == 1) {
        first = parameter.value;
        first_norm = norm;
      }
      EXPECT_EQ(parameter.value, first) << optimizer->type() << " with " << threads << " threads";
      EXPECT_EQ(norm, first_norm);
    }
  }
  set_num_threads(threads_before);
}

TYPED_TEST(Optimizers, EveryInstructionSetFollowsTheFormula) {
  const InstructionSet before = instruction_set();
  for (const InstructionSet set : {InstructionSet::generic, InstructionSet::avx2, InstructionSet::avx512}) {
    if (!is_available(set)) continue;
    set_instruction_set(set);
    Adam<TypeParam> optimizer{{.learning_rate = 0.03}};
    expect_follows<TypeParam>(optimizer, [] {
      return [m = 0.0, v = 0.0](double w, double g, int t) mutable {
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        return w - 0.03 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
      };
    });
  }
  set_instruction_set(before);
}

TYPED_TEST(Optimizers, TheNormIsThatOfAllTrainableGradientsTogether) {
  using T = TypeParam;
  Parameter<T> a("weight", Tensor<T>{0, 0}), b("bias", Tensor<T>{0}), frozen("weight", Tensor<T>{0});
  a.gradient = Tensor<T>{2, -3};
  b.gradient = Tensor<T>{6};
  frozen.gradient = Tensor<T>{100};
  frozen.trainable = false;
  const std::vector<Parameter<T>*> parameters{&a, &b, &frozen};
  EXPECT_DOUBLE_EQ(gradient_norm(parameters), 7);

  EXPECT_DOUBLE_EQ(clip_gradient_norm(parameters, 7.5), 7);
  EXPECT_EQ(a.gradient, (Tensor<T>{2, -3})) << "below the limit nothing changes";
  EXPECT_DOUBLE_EQ(clip_gradient_norm(parameters, std::numeric_limits<double>::infinity()), 7);
  EXPECT_EQ(b.gradient, Tensor<T>{6});

  EXPECT_DOUBLE_EQ(clip_gradient_norm(parameters, 3.5), 7);
  const double factor = 3.5 / (7 + 1e-6);
  EXPECT_NEAR(a.gradient(1), -3 * factor, 1e-6);
  EXPECT_NEAR(b.gradient(0), 6 * factor, 1e-6);
  EXPECT_NEAR(gradient_norm(parameters), 3.5, 1e-5);
  EXPECT_EQ(frozen.gradient, Tensor<T>{100});
}

TYPED_TEST(Optimizers, TheNormOfALongGradientIsAccurate) {
  // 100,001 times 0.1^2: added one by one in float the error would be a thousand times larger.
  Parameter<TypeParam> parameter("weight", full<TypeParam>({100'001}, 0));
  parameter.gradient.fill(static_cast<TypeParam>(0.1));
  const double element = static_cast<double>(static_cast<TypeParam>(0.1));
  EXPECT_NEAR(gradient_norm<TypeParam>({&parameter}) / (element * std::sqrt(100'001.0)), 1, 1e-12);
}

TYPED_TEST(Optimizers, ANormThatIsNotFiniteIsReturnedAndChangesNothing) {
  using T = TypeParam;
  Parameter<T> a("weight", Tensor<T>{0, 0}), b("bias", Tensor<T>{0});
  b.gradient = Tensor<T>{5};
  a.gradient = Tensor<T>{1, std::numeric_limits<T>::quiet_NaN()};
  EXPECT_TRUE(std::isnan(clip_gradient_norm<T>({&a, &b}, 1)));
  a.gradient = Tensor<T>{1, -std::numeric_limits<T>::infinity()};
  EXPECT_EQ(clip_gradient_norm<T>({&a, &b}, 1), std::numeric_limits<double>::infinity());
  EXPECT_EQ(b.gradient, Tensor<T>{5});
}

template <class F>
void expect_argument_error(F make, const std::string& message) {
  EXPECT_THAT(make, ThrowsMessage<ArgumentError>(HasSubstr(message)));
}

TEST(OptimizerMisuse, OptionsOutOfRange) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  expect_argument_error([] { SGD<float>{{.learning_rate = -0.1}}; },
                        "SGD: learning_rate must be finite and at least 0, got -0.1");
  expect_argument_error([] { Adam<float>{{.learning_rate = kNaN}}; }, "Adam: learning_rate must be");
  expect_argument_error([] { SGD<float>{}.set_learning_rate(HUGE_VAL); }, "SGD: learning_rate must be");
  expect_argument_error([] { SGD<float>{{.momentum = 1}}; }, "SGD: momentum must be in [0, 1), got 1");
  expect_argument_error([] { SGD<float>{{.momentum = 0.9, .dampening = 2}}; }, "SGD: dampening");
  expect_argument_error([] { SGD<float>{{.weight_decay = -1e-4}}; },
                        "weight_decay must be finite and at "
                        "least 0, got -0.0001");
  expect_argument_error([] { SGD<float>{{.nesterov = true}}; }, "SGD: nesterov needs a momentum above 0");
  expect_argument_error([] { SGD<float>{{.momentum = 0.9, .dampening = 0.1, .nesterov = true}}; },
                        "no dampening");
  expect_argument_error([] { Adagrad<float>{{.learning_rate_decay = -1}}; }, "Adagrad: learning_rate_decay");
  expect_argument_error([] { Adagrad<float>{{.initial_accumulator_value = -1}}; },
                        "Adagrad: initial_accumulator_value");
  expect_argument_error([] { Adagrad<float>{{.eps = 0}}; }, "Adagrad: eps must be finite and above 0, got 0");
  expect_argument_error([] { RMSProp<float>{{.alpha = 1}}; }, "RMSProp: alpha must be in [0, 1), got 1");
  expect_argument_error([] { RMSProp<float>{{.momentum = -0.5}}; }, "RMSProp: momentum");
  expect_argument_error([] { Adam<double>{{.beta1 = 1.5}}; }, "Adam: beta1 must be in [0, 1), got 1.5");
  expect_argument_error([] { AdamW<double>{{.beta2 = -0.1}}; }, "AdamW: beta2");
  expect_argument_error([] { AdamW<double>{{.eps = -1}}; }, "AdamW: eps");
  Parameter<float> parameter("weight", Tensor<float>{1});
  expect_argument_error([&] { clip_gradient_norm<float>({&parameter}, 0); },
                        "clip_gradient_norm: max_norm must be above 0, got 0");
}

TYPED_TEST(Optimizers, ResetForgetsTheListAndWhatWasKept) {
  using T = TypeParam;
  Parameter<T> first("weight", Tensor<T>{1, 2}), other("weight", Tensor<T>{1, 2, 3});
  first.gradient = Tensor<T>{1, 1};
  other.gradient = Tensor<T>{3, 1, 2};
  Parameter<T> expected = other;
  Adam<T> used, fresh;
  used.step({&first});
  used.reset();
  EXPECT_TRUE(used.state().empty());
  used.step({&other});
  fresh.step({&expected});
  EXPECT_EQ(other.value, expected.value);
}

TEST(OptimizerMisuse, AnotherListThanBefore) {
  const Tensor<double> start{1, 2, 3};
  Parameter<double> a("weight", start), b("bias", start), other("weight", Tensor<double>{1, 2});
  a.gradient = b.gradient = Tensor<double>{1, 1, 1};
  Adam<double> adam;
  adam.step({&a, &b});
  const Tensor<double> after = a.value;
  EXPECT_THAT(
      [&] { adam.step({&a}); },
      ThrowsMessage<StateError>(HasSubstr("Adam: expected the 2 parameters of the first step, got 1")));
  EXPECT_THAT(
      [&] {
        adam.step({&a, &other});
      },
      ThrowsMessage<ShapeError>(HasSubstr(
          "Adam: parameter 1 ('weight'): expected one of the shape of the first step, (3), got (2)")));
  EXPECT_THAT(
      [&] {
        adam.step({&a, nullptr});
      },
      ThrowsMessage<ArgumentError>(HasSubstr("Adam: parameter 1 is null")));
  b.gradient = Tensor<double>{1};
  EXPECT_THAT(
      [&] {
        adam.step({&a, &b});
      },
      ThrowsMessage<ShapeError>(
          HasSubstr("Adam: parameter 1 ('bias'): expected a gradient of bias of shape (3), got (1)")));
  EXPECT_EQ(a.value, after) << "a refused step updates nothing";
}

}  // namespace
}  // namespace strata
