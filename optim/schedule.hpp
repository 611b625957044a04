// Schedules: the learning rate as a function of the optimizer step.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/index.hpp"
#include "strata/framework/settings.hpp"
#include "strata/optim/cloned.hpp"

namespace STRATA_EXPORT strata {

/// Where training stands, in optimizer steps.
struct TrainingPosition {
  Index step = 0;  ///< steps taken before this one
  Index steps_per_epoch = 1;
  Index total_steps = 1;
};

/// A length of training in epochs or in optimizer steps: `epochs(30)`, `steps(500)`, `epochs(0.5)`.
struct Span {
  enum class Unit { epochs, steps };
  double count;
  Unit unit;

  /// Rounded, at least 1.
  Index in_steps(Index steps_per_epoch) const;
};
/// Throws ArgumentError unless the count is positive.
Span epochs(double count);
Span steps(Index count);

/// Gives the learning rate of every step. `base` is the learning rate that the optimizer was made with. The
/// Solver asks before each step, and reports the validation results after each epoch.
///
/// To write one, override learning_rate, type, settings and clone; observe and state if it learns from the
/// results.
class Schedule {
 public:
  virtual ~Schedule() = default;
  virtual double learning_rate(double base, const TrainingPosition& at) const = 0;
  /// After each epoch: the loss and the accuracy on the validation set (without one, on the training set).
  virtual void observe(double /*loss*/, double /*accuracy*/) {}
  /// Views of what it remembers, for a checkpoint.
  virtual std::vector<std::pair<std::string, double*>> state() { return {}; }
  /// The name of the class.
  virtual std::string type() const = 0;
  virtual Settings settings() const { return {}; }
  virtual std::unique_ptr<Schedule> clone() const = 0;
};

/// rate = base
class ConstantRate final : public Schedule {
 public:
  double learning_rate(double base, const TrainingPosition&) const override { return base; }
  std::string type() const override { return "ConstantRate"; }
  std::unique_ptr<Schedule> clone() const override { return std::make_unique<ConstantRate>(*this); }
};

/// rate = base * gamma^floor(step / every): PyTorch's StepLR, and ExponentialLR for every = epochs(1).
class StepDecay final : public Schedule {
 public:
  /// Throws ArgumentError unless gamma > 0.
  explicit StepDecay(Span every, double gamma = 0.1);
  double learning_rate(double base, const TrainingPosition& at) const override;
  std::string type() const override { return "StepDecay"; }
  Settings settings() const override;
  std::unique_ptr<Schedule> clone() const override { return std::make_unique<StepDecay>(*this); }

 private:
  Span every_;
  double gamma_;
};

/// rate = base * gamma^(milestones reached): PyTorch's MultiStepLR.
class MultiStepDecay final : public Schedule {
 public:
  /// Throws ArgumentError unless gamma > 0 and there is a milestone.
  explicit MultiStepDecay(std::vector<Span> milestones, double gamma = 0.1);
  double learning_rate(double base, const TrainingPosition& at) const override;
  std::string type() const override { return "MultiStepDecay"; }
  Settings settings() const override;
  std::unique_ptr<Schedule> clone() const override { return std::make_unique<MultiStepDecay>(*this); }

 private:
  std::vector<Span> milestones_;
  double gamma_;
};

/// rate = base * gamma^(step / every), falling at every step. At the start of each epoch it equals PyTorch's
/// ExponentialLR.
class ExponentialDecay final : public Schedule {
 public:
  /// Throws ArgumentError unless gamma > 0.
  explicit ExponentialDecay(double gamma, Span every = epochs(1));
  double learning_rate(double base, const TrainingPosition& at) const override;
  std::string type() const override { return "ExponentialDecay"; }
  Settings settings() const override;
  std::unique_ptr<Schedule> clone() const override { return std::make_unique<ExponentialDecay>(*this); }

 private:
  double gamma_;
  Span every_;
};

struct CosineDecayOptions {
  double minimum = 0;                         ///< PyTorch's eta_min, a learning rate
  std::optional<Span> length = std::nullopt;  ///< PyTorch's T_max; by default all of training
};

/// rate = minimum + (base - minimum) * (1 + cos(pi * step / length)) / 2, and the minimum from `length` on:
/// PyTorch's CosineAnnealingLR stepped at every optimizer step. Loshchilov and Hutter, ICLR 2017.
class CosineDecay final : public Schedule {
 public:
  /// Throws ArgumentError unless minimum >= 0.
  explicit CosineDecay(CosineDecayOptions options = {});
  double learning_rate(double base, const TrainingPosition& at) const override;
  std::string type() const override { return "CosineDecay"; }
  Settings settings() const override;
  std::unique_ptr<Schedule> clone() const override { return std::make_unique<CosineDecay>(*this); }

 private:
  CosineDecayOptions options_;
};

struct OneCycleOptions {
  double pct_start = 0.3;         ///< the part of training in which the rate rises
  double div_factor = 25;         ///< first rate = base / div_factor
  double final_div_factor = 1e4;  ///< last rate = first rate / final_div_factor
};

/// Up from base / div_factor to base, then down to almost nothing, both along half a cosine: PyTorch's
/// OneCycleLR with max_lr = base and cycle_momentum = False. Smith and Topin, 2018.
class OneCycle final : public Schedule {
 public:
  /// Throws ArgumentError unless 0 <= pct_start <= 1 and both factors are positive.
  explicit OneCycle(OneCycleOptions options = {});
  double learning_rate(double base, const TrainingPosition& at) const override;
  std::string type() const override { return "OneCycle"; }
  Settings settings() const override;
  std::unique_ptr<Schedule> clone() const override { return std::make_unique<OneCycle>(*this); }

 private:
  OneCycleOptions options_;
};

/// Rises in a straight line from start_factor times the first rate of `then` to that rate, and runs `then`
/// over the rest of training: PyTorch's LinearLR followed by another in SequentialLR.
class Warmup final : public Schedule {
 public:
  /// Throws ArgumentError unless 0 <= start_factor <= 1.
  explicit Warmup(Span length, Cloned<Schedule> then = ConstantRate{}, double start_factor = 1.0 / 3);
  double learning_rate(double base, const TrainingPosition& at) const override;
  void observe(double loss, double accuracy) override { then_->observe(loss, accuracy); }
  std::vector<std::pair<std::string, double*>> state() override { return then_->state(); }
  /// "Warmup, then CosineDecay".
  std::string type() const override { return "Warmup, then " + then_->type(); }
  Settings settings() const override;
  std::unique_ptr<Schedule> clone() const override { return std::make_unique<Warmup>(*this); }

 private:
  Span length_;
  Cloned<Schedule> then_;
  double start_factor_;
};

/// Which validation result tells the better model: the lower loss or the higher accuracy.
enum class Monitor { loss, accuracy };

struct ReduceOnPlateauOptions {
  Monitor monitor = Monitor::loss;
  double factor = 0.1;
  Index patience = 10;  ///< epochs without improvement that are put up with
  double threshold = 1e-4;
  bool relative_threshold = true;  ///< PyTorch's threshold_mode: "rel", or "abs" if false
  Index cooldown = 0;              ///< epochs after a reduction in which none are counted
  double minimum = 0;              ///< PyTorch's min_lr
  double eps = 1e-8;               ///< a smaller reduction is not made
};

/// Multiplies the rate by `factor` when the result has not improved for more than `patience` epochs:
/// PyTorch's ReduceLROnPlateau, stepped after each epoch.
class ReduceOnPlateau final : public Schedule {
 public:
  /// Throws ArgumentError unless 0 < factor < 1 and the rest is at least 0.
  explicit ReduceOnPlateau(ReduceOnPlateauOptions options = {});
  double learning_rate(double base, const TrainingPosition& at) const override;
  void observe(double loss, double accuracy) override;
  /// "best" (an accuracy is kept as its negative), "bad_epochs", "cooldown_left", "reductions".
  std::vector<std::pair<std::string, double*>> state() override;
  std::string type() const override { return "ReduceOnPlateau"; }
  Settings settings() const override;
  std::unique_ptr<Schedule> clone() const override { return std::make_unique<ReduceOnPlateau>(*this); }

 private:
  ReduceOnPlateauOptions options_;
  double best_ = std::numeric_limits<double>::infinity();
  double bad_epochs_ = 0;
  double cooldown_left_ = 0;
  double reductions_ = 0;
};

}  // namespace strata
