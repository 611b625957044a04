#include "strata/optim/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "strata/framework/error.hpp"
#include "strata/optim/option_check.hpp"

namespace strata {
namespace {

void check_gamma(const char* owner, double gamma) {
  detail::check_option(std::isfinite(gamma) && gamma > 0, owner, "gamma", "finite and above 0", gamma);
}

void check_not_negative(const char* owner, const char* option, double value) {
  detail::check_option(std::isfinite(value) && value >= 0, owner, option, "finite and at least 0", value);
}

// Half a cosine from `from` (done = 0) to `to` (done = 1).
double along_cosine(double from, double to, double done) {
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * done));
}

std::pair<std::string, double> setting_of(const std::string& name, const Span& span) {
  return {name + (span.unit == Span::Unit::epochs ? ", in epochs" : ", in steps"), span.count};
}

}  // namespace

Index Span::in_steps(Index steps_per_epoch) const {
  const double length = unit == Unit::epochs ? count * static_cast<double>(steps_per_epoch) : count;
  return std::max<Index>(1, std::llround(std::min(length, 1e18)));  // fits Index; no training gets there
}

Span epochs(double count) {
  detail::check_option(std::isfinite(count) && count > 0, "epochs", "the count", "finite and above 0", count);
  return {count, Span::Unit::epochs};
}

Span steps(Index count) {
  const auto value = static_cast<double>(count);
  detail::check_option(count > 0, "steps", "the count", "above 0", value);
  return {value, Span::Unit::steps};
}

StepDecay::StepDecay(Span every, double gamma) : every_(every), gamma_(gamma) {
  check_gamma("StepDecay", gamma);
}

Settings StepDecay::settings() const {
  return {setting_of("every", every_), {"gamma", gamma_}};
}

double StepDecay::learning_rate(double base, const TrainingPosition& at) const {
  return base * std::pow(gamma_, static_cast<double>(at.step / every_.in_steps(at.steps_per_epoch)));
}

MultiStepDecay::MultiStepDecay(std::vector<Span> milestones, double gamma)
    : milestones_(std::move(milestones)), gamma_(gamma) {
  check_gamma("MultiStepDecay", gamma);
  if (milestones_.empty()) throw ArgumentError("MultiStepDecay: at least one milestone is needed");
}

Settings MultiStepDecay::settings() const {
  Settings all{{"gamma", gamma_}};
  for (const Span& milestone : milestones_)
    all.push_back(setting_of("milestone " + std::to_string(all.size()), milestone));
  return all;
}

double MultiStepDecay::learning_rate(double base, const TrainingPosition& at) const {
  const auto reached = std::count_if(milestones_.begin(), milestones_.end(), [&](const Span& milestone) {
    return at.step >= milestone.in_steps(at.steps_per_epoch);
  });
  return base * std::pow(gamma_, static_cast<double>(reached));
}

ExponentialDecay::ExponentialDecay(double gamma, Span every) : gamma_(gamma), every_(every) {
  check_gamma("ExponentialDecay", gamma);
}

Settings ExponentialDecay::settings() const {
  return {{"gamma", gamma_}, setting_of("every", every_)};
}

double ExponentialDecay::learning_rate(double base, const TrainingPosition& at) const {
  const auto every = static_cast<double>(every_.in_steps(at.steps_per_epoch));
  return base * std::pow(gamma_, static_cast<double>(at.step) / every);
}

CosineDecay::CosineDecay(CosineDecayOptions options) : options_(options) {
  check_not_negative("CosineDecay", "minimum", options.minimum);
}

Settings CosineDecay::settings() const {
  Settings all{{"minimum", options_.minimum}};
  if (options_.length) all.push_back(setting_of("length", *options_.length));
  return all;
}

double CosineDecay::learning_rate(double base, const TrainingPosition& at) const {
  const Index length = options_.length ? options_.length->in_steps(at.steps_per_epoch) : at.total_steps;
  if (at.step >= length) return options_.minimum;
  return along_cosine(base, options_.minimum, static_cast<double>(at.step) / static_cast<double>(length));
}

OneCycle::OneCycle(OneCycleOptions options) : options_(options) {
  detail::check_option(options.pct_start >= 0 && options.pct_start <= 1, "OneCycle", "pct_start", "in [0, 1]",
                       options.pct_start);
  detail::check_option(std::isfinite(options.div_factor) && options.div_factor > 0, "OneCycle", "div_factor",
                       "finite and above 0", options.div_factor);
  detail::check_option(std::isfinite(options.final_div_factor) && options.final_div_factor > 0, "OneCycle",
                       "final_div_factor", "finite and above 0", options.final_div_factor);
}

Settings OneCycle::settings() const {
  return {{"pct_start", options_.pct_start},
          {"div_factor", options_.div_factor},
          {"final_div_factor", options_.final_div_factor}};
}

double OneCycle::learning_rate(double base, const TrainingPosition& at) const {
  const double first = base / options_.div_factor;
  const double last = first / options_.final_div_factor;
  // The steps, not always whole, at which the rate is highest and at which it is lowest.
  const double peak = options_.pct_start * static_cast<double>(at.total_steps) - 1;
  const auto end = static_cast<double>(at.total_steps - 1);
  const double step = std::min(static_cast<double>(at.step), end);
  if (step < peak) return along_cosine(first, base, step / peak);
  if (peak >= end) return base;
  return along_cosine(base, last, (step - peak) / (end - peak));
}

Warmup::Warmup(Span length, Cloned<Schedule> then, double start_factor)
    : length_(length), then_(std::move(then)), start_factor_(start_factor) {
  detail::check_option(start_factor >= 0 && start_factor <= 1, "Warmup", "start_factor", "in [0, 1]",
                       start_factor);
}

Settings Warmup::settings() const {
  Settings all{setting_of("length", length_), {"start_factor", start_factor_}};
  for (const auto& [name, value] : then_->settings()) all.emplace_back("then." + name, value);
  return all;
}

double Warmup::learning_rate(double base, const TrainingPosition& at) const {
  const Index length = length_.in_steps(at.steps_per_epoch);
  TrainingPosition after = at;
  after.step = std::max<Index>(0, at.step - length);
  after.total_steps = std::max<Index>(1, at.total_steps - length);
  const double rate = then_->learning_rate(base, after);
  if (at.step >= length) return rate;
  const double done = static_cast<double>(at.step) / static_cast<double>(length);
  return rate * (start_factor_ + (1 - start_factor_) * done);
}

ReduceOnPlateau::ReduceOnPlateau(ReduceOnPlateauOptions options) : options_(options) {
  constexpr const char* kName = "ReduceOnPlateau";
  detail::check_option(options.factor > 0 && options.factor < 1, kName, "factor", "in (0, 1)",
                       options.factor);
  check_not_negative(kName, "patience", static_cast<double>(options.patience));
  check_not_negative(kName, "threshold", options.threshold);
  check_not_negative(kName, "cooldown", static_cast<double>(options.cooldown));
  check_not_negative(kName, "minimum", options.minimum);
  check_not_negative(kName, "eps", options.eps);
}

Settings ReduceOnPlateau::settings() const {
  return {{"monitor", options_.monitor == Monitor::loss ? 0 : 1},
          {"factor", options_.factor},
          {"patience", options_.patience},
          {"threshold", options_.threshold},
          {"relative_threshold", options_.relative_threshold},
          {"cooldown", options_.cooldown},
          {"minimum", options_.minimum},
          {"eps", options_.eps}};
}

double ReduceOnPlateau::learning_rate(double base, const TrainingPosition&) const {
  double rate = base;
  for (Index i = 0; i < static_cast<Index>(reductions_); ++i) {
    const double reduced = std::max(rate * options_.factor, options_.minimum);
    if (rate - reduced <= options_.eps) break;
    rate = reduced;
  }
  return rate;
}

void ReduceOnPlateau::observe(double loss, double accuracy) {
  // The lower the better: an accuracy counts as its negative. Its threshold then has to be turned as well,
  // best * (1 + threshold) in PyTorch's mode "max".
  const double result = options_.monitor == Monitor::loss ? loss : -accuracy;
  const double margin = !std::isfinite(best_)         ? 0
                        : options_.relative_threshold ? options_.threshold * std::abs(best_)
                                                      : options_.threshold;
  if (result < best_ - margin) {
    best_ = result;
    bad_epochs_ = 0;
  } else {
    ++bad_epochs_;
  }
  if (cooldown_left_ > 0) {
    --cooldown_left_;
    bad_epochs_ = 0;
  }
  if (bad_epochs_ > static_cast<double>(options_.patience)) {
    ++reductions_;
    cooldown_left_ = static_cast<double>(options_.cooldown);
    bad_epochs_ = 0;
  }
}

std::vector<std::pair<std::string, double*>> ReduceOnPlateau::state() {
  return {{"best", &best_},
          {"bad_epochs", &bad_epochs_},
          {"cooldown_left", &cooldown_left_},
          {"reductions", &reductions_}};
}

}  // namespace strata
