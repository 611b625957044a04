#include <cmath>
#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/error.hpp"
#include "strata/optim/schedule.hpp"

namespace strata {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr double kBase = 0.4;
constexpr Index kSteps = 20;

// Compares the rates of 20 steps, 4 an epoch, with a formula of the step.
template <class Formula>
void expect_rates(const Schedule& schedule, Formula formula) {
  for (Index step = 0; step < kSteps; ++step) {
    const double rate = schedule.learning_rate(kBase, {step, 4, kSteps});
    EXPECT_NEAR(rate, formula(static_cast<int>(step)), 1e-15) << "step " << step;
    EXPECT_EQ(rate, schedule.clone()->learning_rate(kBase, {step, 4, kSteps}));
  }
}

TEST(Schedules, Constant) {
  expect_rates(ConstantRate{}, [](int) { return kBase; });
}

TEST(Schedules, StepDecayInEpochsAndInSteps) {
  expect_rates(StepDecay{epochs(2), 0.5}, [](int t) { return kBase * std::pow(0.5, t / 8); });
  expect_rates(StepDecay{epochs(0.5), 0.5}, [](int t) { return kBase * std::pow(0.5, t / 2); });
  expect_rates(StepDecay{steps(3)}, [](int t) { return kBase * std::pow(0.1, t / 3); });
}

TEST(Schedules, ASpanBeyondAllCountingIsNotShort) {
  EXPECT_GE(steps(std::numeric_limits<Index>::max()).in_steps(10), Index{1} << 59);
  EXPECT_GE(epochs(1e300).in_steps(10), Index{1} << 59);
}

TEST(Schedules, MultiStepDecayCountsTheMilestonesReached) {
  expect_rates(MultiStepDecay{{steps(3), epochs(2), steps(15)}, 0.2},
               [](int t) { return kBase * std::pow(0.2, (t >= 3) + (t >= 8) + (t >= 15)); });
}

TEST(Schedules, ExponentialDecayFallsAtEveryStep) {
  expect_rates(ExponentialDecay{0.9}, [](int t) { return kBase * std::pow(0.9, t / 4.0); });
  expect_rates(ExponentialDecay{0.9, steps(1)}, [](int t) { return kBase * std::pow(0.9, t); });
}

TEST(Schedules, CosineDecayReachesItsMinimumAndStaysThere) {
  expect_rates(CosineDecay{}, [](int t) { return kBase * (1 + std::cos(std::numbers::pi * t / 20)) / 2; });
  expect_rates(CosineDecay{{.minimum = 0.1, .length = epochs(3)}}, [](int t) {
    return t >= 12 ? 0.1 : 0.1 + (kBase - 0.1) * (1 + std::cos(std::numbers::pi * t / 12)) / 2;
  });
}

TEST(Schedules, OneCycleRisesToTheBaseAndFalls) {
  // Of 20 steps with pct_start 0.3, step 5 is the peak and step 19 the end.
  const double first = kBase / 25, last = first / 1e4;
  const auto cosine = [](double from, double to, double done) {
    return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * done));
  };
  expect_rates(OneCycle{}, [&](int t) {
    return t <= 5 ? cosine(first, kBase, t / 5.0) : cosine(kBase, last, (t - 5) / 14.0);
  });
  // A peak between two steps, as PyTorch has it: 0.33 * 20 - 1 = 5.6.
  expect_rates(OneCycle{{.pct_start = 0.33, .div_factor = 10, .final_div_factor = 100}}, [&](int t) {
    const double start = kBase / 10;
    return t <= 5 ? cosine(start, kBase, t / 5.6) : cosine(kBase, start / 100, (t - 5.6) / 13.4);
  });
  EXPECT_EQ(OneCycle{}.learning_rate(kBase, {5, 4, kSteps}), kBase);
  EXPECT_EQ(OneCycle{}.learning_rate(kBase, {19, 4, kSteps}), last);
  EXPECT_EQ(OneCycle{}.learning_rate(kBase, {25, 4, kSteps}), last) << "beyond the end";
}

TEST(Schedules, OneCycleOfAnyLengthIsFinite) {
  for (const double pct_start : {0.0, 0.3, 1.0})
    for (Index total = 1; total <= 5; ++total)
      for (Index step = 0; step < total; ++step) {
        const double rate = OneCycle{{.pct_start = pct_start}}.learning_rate(kBase, {step, 1, total});
        EXPECT_TRUE(rate > 0 && rate <= kBase) << pct_start << " " << step << " of " << total;
      }
}

TEST(Schedules, WarmupRisesInALineThenRunsTheOtherOverTheRest) {
  expect_rates(Warmup{steps(5)}, [](int t) { return t >= 5 ? kBase : kBase * (1 + 2 * t / 5.0) / 3; });
  expect_rates(Warmup{epochs(1), CosineDecay{}, 0}, [](int t) {
    return t < 4 ? kBase * t / 4.0 : kBase * (1 + std::cos(std::numbers::pi * (t - 4) / 16)) / 2;
  });
}

TEST(Schedules, ReduceOnPlateauFollowsPyTorchsCounting) {
  // patience 2: the third epoch in a row without improvement reduces; then 1 epoch of cooldown.
  ReduceOnPlateau plateau{{.factor = 0.5, .patience = 2, .threshold = 0.1, .cooldown = 1, .minimum = 0.08}};
  const std::vector<double> losses{1.0, 0.95, 0.89, 0.85, 0.85, 0.85, 0.85, 0.85, 0.85, 0.85,
                                   0.5, 0.5,  0.5,  0.5,  0.5,  0.5,  0.5,  0.5,  0.5};
  // 0.95 is no improvement on 1 by a tenth, 0.89 is; the reductions follow the 6th, 10th, 14th and 18th loss.
  const std::vector<double> rates{.4, .4, .4, .4,  .4,  .2,  .2,  .2,  .2, .1,
                                  .1, .1, .1, .08, .08, .08, .08, .08, .08};
  for (std::size_t i = 0; i < losses.size(); ++i) {
    plateau.observe(losses[i], 0);
    EXPECT_DOUBLE_EQ(plateau.learning_rate(kBase, {}), rates[i]) << "after epoch " << i;
  }
}

TEST(Schedules, ReduceOnPlateauCanWatchTheAccuracyAndAnAbsoluteThreshold) {
  ReduceOnPlateau plateau{{.monitor = Monitor::accuracy,
                           .factor = 0.5,
                           .patience = 0,
                           .threshold = 0.05,
                           .relative_threshold = false}};
  const std::vector<std::pair<double, double>> accuracy_and_rate{{0.5, 0.4}, {0.54, 0.2}, {0.56, 0.2},
                                                                 {0.6, 0.1}, {0.62, 0.1}, {0.3, 0.05}};
  for (const auto& [accuracy, rate] : accuracy_and_rate) {
    plateau.observe(/*loss=*/0, accuracy);
    EXPECT_DOUBLE_EQ(plateau.learning_rate(kBase, {}), rate) << accuracy;
  }
}

TEST(Schedules, ReduceOnPlateauMakesNoReductionSmallerThanEps) {
  ReduceOnPlateau plateau{{.factor = 0.5, .patience = 0, .eps = 0.15}};
  plateau.observe(1, 0);
  plateau.observe(1, 0);
  EXPECT_DOUBLE_EQ(plateau.learning_rate(kBase, {}), 0.2);
  plateau.observe(1, 0);
  EXPECT_DOUBLE_EQ(plateau.learning_rate(kBase, {}), 0.2);
}

TEST(Schedules, StateMovesToAnotherThroughItsViews) {
  const ReduceOnPlateauOptions options{.factor = 0.5, .patience = 1, .cooldown = 2};
  Warmup a{steps(1), ReduceOnPlateau{options}}, b = a;
  for (int i = 0; i < 3; ++i) a.observe(1, 0);
  EXPECT_NE(a.learning_rate(kBase, {5, 1, 9}), b.learning_rate(kBase, {5, 1, 9}))
      << "a copy has its own state";
  const auto from = a.state(), to = b.state();
  ASSERT_EQ(from.size(), 4u);
  for (std::size_t i = 0; i < from.size(); ++i) {
    EXPECT_EQ(from[i].first, to[i].first);
    *to[i].second = *from[i].second;
  }
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(a.learning_rate(kBase, {5, 1, 9}), b.learning_rate(kBase, {5, 1, 9}));
    a.observe(1, 0);
    b.observe(1, 0);
  }
}

template <class F>
void expect_argument_error(F make, const std::string& message) {
  EXPECT_THAT(make, ThrowsMessage<ArgumentError>(HasSubstr(message)));
}

TEST(ScheduleMisuse, OptionsOutOfRange) {
  expect_argument_error([] { epochs(0); }, "epochs: the count must be finite and above 0, got 0");
  expect_argument_error([] { steps(-3); }, "steps: the count must be above 0, got -3");
  expect_argument_error([] { StepDecay(epochs(1), 0); },
                        "StepDecay: gamma must be finite and above 0, got 0");
  expect_argument_error([] { MultiStepDecay({}); }, "MultiStepDecay: at least one milestone is needed");
  expect_argument_error([] { MultiStepDecay({steps(1)}, -1); }, "MultiStepDecay: gamma");
  expect_argument_error([] { ExponentialDecay(-0.9); }, "ExponentialDecay: gamma");
  expect_argument_error([] { CosineDecay({.minimum = -1}); }, "CosineDecay: minimum must be finite and at");
  expect_argument_error([] { OneCycle({.pct_start = 1.1}); },
                        "OneCycle: pct_start must be in [0, 1], got 1.1");
  expect_argument_error([] { OneCycle({.div_factor = 0}); }, "OneCycle: div_factor");
  expect_argument_error([] { OneCycle({.final_div_factor = -1}); }, "OneCycle: final_div_factor");
  expect_argument_error([] { Warmup(steps(1), ConstantRate{}, 2); },
                        "Warmup: start_factor must be in [0, 1]");
  expect_argument_error([] { ReduceOnPlateau({.factor = 1}); }, "ReduceOnPlateau: factor must be in (0, 1)");
  expect_argument_error([] { ReduceOnPlateau({.patience = -1}); }, "ReduceOnPlateau: patience");
  expect_argument_error([] { ReduceOnPlateau({.threshold = -1}); }, "ReduceOnPlateau: threshold");
  expect_argument_error([] { ReduceOnPlateau({.cooldown = -1}); }, "ReduceOnPlateau: cooldown");
  expect_argument_error([] { ReduceOnPlateau({.minimum = -1}); }, "ReduceOnPlateau: minimum");
  expect_argument_error([] { ReduceOnPlateau({.eps = -1}); }, "ReduceOnPlateau: eps");

  for (const double wrong : {-0.5, double{INFINITY}, double{NAN}}) {
    expect_argument_error([&] { epochs(wrong); }, "epochs: the count");
    expect_argument_error([&] { StepDecay(epochs(1), wrong); }, "StepDecay: gamma");
    expect_argument_error([&] { CosineDecay({.minimum = wrong}); }, "CosineDecay: minimum");
    expect_argument_error([&] { OneCycle({.pct_start = wrong}); }, "OneCycle: pct_start");
    expect_argument_error([&] { OneCycle({.div_factor = wrong}); }, "OneCycle: div_factor");
    expect_argument_error([&] { OneCycle({.final_div_factor = wrong}); }, "OneCycle: final_div_factor");
    expect_argument_error([&] { Warmup(steps(1), ConstantRate{}, wrong); }, "Warmup: start_factor");
    expect_argument_error([&] { ReduceOnPlateau({.factor = wrong}); }, "ReduceOnPlateau: factor");
    expect_argument_error([&] { ReduceOnPlateau({.threshold = wrong}); }, "ReduceOnPlateau: threshold");
    expect_argument_error([&] { ReduceOnPlateau({.minimum = wrong}); }, "ReduceOnPlateau: minimum");
    expect_argument_error([&] { ReduceOnPlateau({.eps = wrong}); }, "ReduceOnPlateau: eps");
  }
}

TEST(ScheduleMisuse, TheEndsOfTheRangesAreAllowed) {
  EXPECT_NO_THROW(OneCycle({.pct_start = 0}));
  EXPECT_NO_THROW(OneCycle({.pct_start = 1}));
  EXPECT_NO_THROW(OneCycle({.div_factor = 0.5, .final_div_factor = 0.5}));
  EXPECT_NO_THROW(CosineDecay({.minimum = 0}));
  EXPECT_NO_THROW(Warmup(steps(1), ConstantRate{}, 0));
  EXPECT_NO_THROW(Warmup(steps(1), ConstantRate{}, 1));
  EXPECT_NO_THROW(ReduceOnPlateau({.patience = 0, .threshold = 0, .cooldown = 0, .minimum = 0, .eps = 0}));
}

}  // namespace
}  // namespace strata
