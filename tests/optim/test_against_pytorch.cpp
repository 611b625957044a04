// Optimizers, schedules and gradient clipping against PyTorch's over 20 steps. tests/reference/optim_cases.py
// lists the cases.
//
// PyTorch decays every parameter; ours spare biases and the parameters of norms unless `.decay_all = true`.
#include <map>
#include <memory>
#include <utility>

#include "strata/optim/adagrad.hpp"
#include "strata/optim/adam.hpp"
#include "strata/optim/gradient_norm.hpp"
#include "strata/optim/rms_prop.hpp"
#include "strata/optim/schedule.hpp"
#include "strata/optim/sgd.hpp"
#include "tests/reference.hpp"

namespace strata {
namespace {

using nlohmann::json;
using pytorch::read;

using MadeOptimizer = std::unique_ptr<Optimizer<double>>;

template <class Rule, class Options>
MadeOptimizer make_adam(const json& o) {
  Options options{.decay_all = true};
  read(o, "learning_rate", options.learning_rate);
  read(o, "beta1", options.beta1);
  read(o, "beta2", options.beta2);
  read(o, "eps", options.eps);
  read(o, "weight_decay", options.weight_decay);
  return std::make_unique<Rule>(options);
}

const std::map<std::string, MadeOptimizer (*)(const json&)> kOptimizers = {
    {"SGD",
     [](const json& o) -> MadeOptimizer {
       SGDOptions options{.decay_all = true};
       read(o, "learning_rate", options.learning_rate);
       read(o, "momentum", options.momentum);
       read(o, "dampening", options.dampening);
       read(o, "weight_decay", options.weight_decay);
       read(o, "nesterov", options.nesterov);
       return std::make_unique<SGD<double>>(options);
     }},
    {"Adagrad",
     [](const json& o) -> MadeOptimizer {
       AdagradOptions options{.decay_all = true};
       read(o, "learning_rate", options.learning_rate);
       read(o, "learning_rate_decay", options.learning_rate_decay);
       read(o, "weight_decay", options.weight_decay);
       read(o, "initial_accumulator_value", options.initial_accumulator_value);
       read(o, "eps", options.eps);
       return std::make_unique<Adagrad<double>>(options);
     }},
    {"RMSProp",
     [](const json& o) -> MadeOptimizer {
       RMSPropOptions options{.decay_all = true};
       read(o, "learning_rate", options.learning_rate);
       read(o, "alpha", options.alpha);
       read(o, "eps", options.eps);
       read(o, "weight_decay", options.weight_decay);
       read(o, "momentum", options.momentum);
       read(o, "centered", options.centered);
       return std::make_unique<RMSProp<double>>(options);
     }},
    {"Adam", make_adam<Adam<double>, AdamOptions>},
    {"AdamW", make_adam<AdamW<double>, AdamWOptions>},
};

class OptimizerAgainstPyTorch : public testing::TestWithParam<pytorch::Case> {};

TEST_P(OptimizerAgainstPyTorch, TwentySteps) {
  const json expected = pytorch::load(GetParam());
  const MadeOptimizer optimizer = kOptimizers.at(GetParam().file)(expected.at("options"));
  Parameter<double> weight("weight", pytorch::to_tensor(expected.at("initial").at(0)));
  Parameter<double> bias("bias", pytorch::to_tensor(expected.at("initial").at(1)), /*decay_=*/false);

  const json& steps = expected.at("steps");
  ASSERT_EQ(steps.size(), 20u);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    SCOPED_TRACE("step " + std::to_string(i));
    if (!expected.at("rates").is_null())
      optimizer->set_learning_rate(expected.at("rates").at(i).get<double>());
    weight.gradient = pytorch::to_tensor(steps[i].at("gradients").at(0));
    bias.gradient = pytorch::to_tensor(steps[i].at("gradients").at(1));
    optimizer->step({&weight, &bias});
    ASSERT_TRUE(pytorch::near(weight.value, steps[i].at("values").at(0))) << "weight";
    ASSERT_TRUE(pytorch::near(bias.value, steps[i].at("values").at(1))) << "bias";
  }
}

#define STRATA_COMPARE(OPTIMIZER)                              \
  INSTANTIATE_TEST_SUITE_P(OPTIMIZER, OptimizerAgainstPyTorch, \
                           testing::ValuesIn(pytorch::cases(#OPTIMIZER)), pytorch::name_of)
STRATA_COMPARE(SGD);
STRATA_COMPARE(Adagrad);
STRATA_COMPARE(RMSProp);
STRATA_COMPARE(Adam);
STRATA_COMPARE(AdamW);
#undef STRATA_COMPARE

using MadeSchedule = std::unique_ptr<Schedule>;

StepDecay make_step_decay(const json& o) {
  return StepDecay(steps(o.at("every").get<Index>()), o.at("gamma").get<double>());
}

const std::map<std::string, MadeSchedule (*)(const json&)> kSchedules = {
    {"ConstantRate", [](const json&) { return ConstantRate{}.clone(); }},
    {"StepDecay", [](const json& o) { return make_step_decay(o).clone(); }},
    {"MultiStepDecay",
     [](const json& o) {
       std::vector<Span> milestones;
       for (const json& milestone : o.at("milestones")) milestones.push_back(steps(milestone.get<Index>()));
       return MultiStepDecay(milestones, o.at("gamma").get<double>()).clone();
     }},
    {"ExponentialDecay",
     [](const json& o) { return ExponentialDecay(o.at("gamma").get<double>(), steps(1)).clone(); }},
    {"CosineDecay",
     [](const json& o) {
       return CosineDecay(
                  {.minimum = o.at("minimum").get<double>(), .length = steps(o.at("length").get<Index>())})
           .clone();
     }},
    {"OneCycle",
     [](const json& o) {
       OneCycleOptions options;
       read(o, "pct_start", options.pct_start);
       read(o, "div_factor", options.div_factor);
       read(o, "final_div_factor", options.final_div_factor);
       return OneCycle(options).clone();
     }},
    {"Warmup",
     [](const json& o) {
       const Span length = steps(o.at("length").get<Index>());
       const auto start = o.at("start_factor").get<double>();
       return o.contains("every") ? Warmup(length, make_step_decay(o), start).clone()
                                  : Warmup(length, ConstantRate{}, start).clone();
     }},
    {"ReduceOnPlateau",
     [](const json& o) {
       ReduceOnPlateauOptions options;
       if (o.value("monitor", "loss") == "accuracy") options.monitor = Monitor::accuracy;
       read(o, "factor", options.factor);
       read(o, "patience", options.patience);
       read(o, "threshold", options.threshold);
       read(o, "relative_threshold", options.relative_threshold);
       read(o, "cooldown", options.cooldown);
       read(o, "minimum", options.minimum);
       read(o, "eps", options.eps);
       return ReduceOnPlateau(options).clone();
     }},
};

class ScheduleAgainstPyTorch : public testing::TestWithParam<pytorch::Case> {};

TEST_P(ScheduleAgainstPyTorch, TwentySteps) {
  const json expected = pytorch::load(GetParam());
  const json& options = expected.at("options");
  const MadeSchedule schedule = kSchedules.at(expected.at("schedule").get<std::string>())(options);
  const auto rates = expected.at("rates").get<std::vector<double>>();
  const auto metrics = expected.at("metrics").get<std::vector<double>>();
  ASSERT_EQ(rates.size(), 20u);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    SCOPED_TRACE("step " + std::to_string(i));
    const TrainingPosition at{.step = static_cast<Index>(i), .steps_per_epoch = 1, .total_steps = 20};
    EXPECT_TRUE(
        pytorch::near(schedule->learning_rate(options.at("learning_rate").get<double>(), at), rates[i]));
    // The one that is not monitored only gets worse.
    const auto worse = static_cast<double>(i);
    if (metrics.empty()) continue;
    if (options.value("monitor", "loss") == "loss")
      schedule->observe(metrics[i], -worse);
    else
      schedule->observe(worse, metrics[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Schedules, ScheduleAgainstPyTorch, testing::ValuesIn(pytorch::cases("schedules")),
                         pytorch::name_of);

class ClippingAgainstPyTorch : public testing::TestWithParam<pytorch::Case> {};

TEST_P(ClippingAgainstPyTorch, NormAndGradients) {
  const json expected = pytorch::load(GetParam());
  std::vector<Parameter<double>> parameters;
  for (const json& gradient : expected.at("before")) {
    const Tensor<double> values = pytorch::to_tensor(gradient);
    parameters.emplace_back("weight", full<double>(values.shape(), 0.0)).gradient = values;
  }
  std::vector<Parameter<double>*> pointers;
  for (auto& parameter : parameters) pointers.push_back(&parameter);
  const double norm = clip_gradient_norm(pointers, expected.at("max_norm").get<double>());
  EXPECT_TRUE(pytorch::near(norm, expected.at("norm").get<double>()));
  for (std::size_t i = 0; i < parameters.size(); ++i)
    EXPECT_TRUE(pytorch::near(parameters[i].gradient, expected.at("after").at(i))) << "gradient " << i;
}

INSTANTIATE_TEST_SUITE_P(Clipping, ClippingAgainstPyTorch, testing::ValuesIn(pytorch::cases("clipping")),
                         pytorch::name_of);

TEST(OptimizerAgainstPyTorchFiles, HoldCasesOfEveryRule) {
  for (const auto& [type, factory] : kOptimizers) EXPECT_GE(pytorch::case_names(type).size(), 6u) << type;
  EXPECT_GE(pytorch::case_names("clipping").size(), 4u);
  std::map<std::string, int> count;
  for (const auto& name : pytorch::case_names("schedules")) ++count[name.substr(0, name.find('_'))];
  for (const auto& [type, factory] : kSchedules) EXPECT_GE(count[type], 1) << type;
}

}  // namespace
}  // namespace strata
