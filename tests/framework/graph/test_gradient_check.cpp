#include <cmath>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/graph/gradient_check.hpp"
#include "strata/strata.hpp"

namespace strata {
namespace {

using testing::HasSubstr;

// y = x * scale^2 + shift per feature, with switchable mistakes. In training it counts its calls and adds a
// sine of the count, as a running state would.
struct Mistake {
  double dx_factor = 1;
  double dscale_factor = 1;
  bool forgets_square = false;  // a missing factor 2
  bool swaps_scale = false;
  bool leaves_shift = false;
  bool only_in_evaluation = false;
  bool only_in_backward_parameters = false;
};

class Affine final : public Layer<double> {
 public:
  explicit Affine(Mistake mistake = {})
      : mistake_(mistake),
        scale_("weight", Tensor<double>{0.5, -1.25, 2.0}),
        shift_("bias", Tensor<double>{0.1, 0.2, -0.3}) {}
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Affine>(*this); }
  std::string type() const override { return "Affine"; }
  std::int64_t calls = 0;

 protected:
  Tensor<double> do_forward(Tensor<double> x, Record& record) override {
    record.keep(x);
    Tensor<double> y = do_infer(std::move(x));
    if (training()) y += std::sin(static_cast<double>(++calls));
    return y;
  }
  Tensor<double> do_infer(Tensor<double> x) const override {
    return x * scale_.value * scale_.value + shift_.value;
  }
  Tensor<double> do_backward(Tensor<double> dy, Record& record) override {
    return run_backward(dy, record, false);
  }
  void do_backward_parameters(Tensor<double> dy, Record& record) override { run_backward(dy, record, true); }
  std::vector<Parameter<double>*> own_parameters() override { return {&scale_, &shift_}; }
  std::vector<Buffer<double>> own_buffers() override { return {{"calls", &calls}}; }

 private:
  Tensor<double> run_backward(const Tensor<double>& dy, Record& record, bool parameters_only) {
    const auto x = record.take<Tensor<double>>();
    Mistake m = mistake_;
    if ((m.only_in_evaluation && training()) || (m.only_in_backward_parameters && !parameters_only)) m = {};
    scale_.gradient = xt::sum(dy * x, {0}) * 2 * scale_.value * m.dscale_factor;
    if (m.forgets_square) scale_.gradient /= 2;
    if (m.swaps_scale) std::swap(scale_.gradient(0), scale_.gradient(1));
    if (!m.leaves_shift) shift_.gradient = xt::sum(dy, {0});
    return dy * scale_.value * scale_.value * m.dx_factor;
  }

  Mistake mistake_;
  Parameter<double> scale_, shift_;
};

Tensor<double> some_input(const Shape& shape = {4, 3}) {
  return Random(7).normal<double>(shape);
}

const GradientCheckRow& row(const GradientReport& report, std::string_view mode, std::string_view tensor) {
  for (const auto& r : report.rows)
    if (r.mode == mode && r.tensor == tensor) return r;
  throw std::out_of_range(std::string(mode) + " " + std::string(tensor));
}

TEST(CheckGradients, PassesARightLayerFarBelowTheTolerance) {
  const GradientReport report = check_gradients(Affine(), some_input());
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_LT(report.max_relative_error(), 1e-9);
  ASSERT_EQ(report.rows.size(), 6u);
  EXPECT_EQ(report.rows[0].tensor, "input");
  EXPECT_EQ(report.rows[0].checked, 12);
  EXPECT_EQ(report.rows[1].tensor, "weight");
  EXPECT_EQ(report.rows[5].mode, "evaluation");
}

TEST(CheckGradients, FailsASlightlyScaledInputGradient) {
  const GradientReport report = check_gradients(Affine({.dx_factor = 1 + 1e-4}), some_input());
  EXPECT_FALSE(report.passed());
  EXPECT_FALSE(row(report, "training", "input").passed);
  EXPECT_NEAR(row(report, "training", "input").error, 1e-4, 1e-6);
  EXPECT_TRUE(row(report, "training", "weight").passed);
}

TEST(CheckGradients, FailsASlightlyScaledParameterGradient) {
  const GradientReport report = check_gradients(Affine({.dscale_factor = 1 + 1e-4}), some_input());
  EXPECT_TRUE(row(report, "training", "input").passed);
  EXPECT_FALSE(row(report, "training", "weight").passed);
  EXPECT_FALSE(row(report, "evaluation", "weight").passed);
}

TEST(CheckGradients, FailsAMissingFactor) {
  const GradientReport report = check_gradients(Affine({.forgets_square = true}), some_input());
  EXPECT_FALSE(row(report, "training", "weight").passed);
}

TEST(CheckGradients, FailsSwappedGradients) {
  const GradientReport report = check_gradients(Affine({.swaps_scale = true}), some_input());
  EXPECT_FALSE(row(report, "training", "weight").passed);
  EXPECT_TRUE(row(report, "training", "bias").passed);
}

TEST(CheckGradients, FailsAGradientThatIsNotWritten) {
  const GradientReport report = check_gradients(Affine({.leaves_shift = true}), some_input());
  const GradientCheckRow& bias = row(report, "training", "bias");
  EXPECT_FALSE(bias.passed);
  EXPECT_TRUE(std::isnan(bias.analytic));
  EXPECT_TRUE(std::isinf(report.max_relative_error()));
  EXPECT_THAT(report.to_string(), HasSubstr("not written"));
}

TEST(CheckGradients, FailsAMistakeInEvaluationModeOnly) {
  const Affine layer({.dx_factor = 1.001, .only_in_evaluation = true});
  EXPECT_TRUE(check_gradients(layer, some_input(), {.evaluation = false}).passed());
  const GradientReport report = check_gradients(layer, some_input());
  EXPECT_TRUE(row(report, "training", "input").passed);
  EXPECT_FALSE(row(report, "evaluation", "input").passed);
}

TEST(CheckGradients, FailsAMistakeInBackwardParametersOnly) {
  const GradientReport report =
      check_gradients(Affine({.dscale_factor = 1.001, .only_in_backward_parameters = true}), some_input());
  EXPECT_TRUE(row(report, "training", "weight").passed);
  EXPECT_FALSE(row(report, "training", "weight (backward_parameters)").passed);
}

class Transposing final : public Layer<double> {
 public:
  explicit Transposing(bool right) : right_(right) {}
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Transposing>(*this); }
  std::string type() const override { return "Transposing"; }

 protected:
  Tensor<double> do_forward(Tensor<double> x, Record&) override { return do_infer(std::move(x)); }
  Tensor<double> do_infer(Tensor<double> x) const override { return Tensor<double>(xt::transpose(x)); }
  Tensor<double> do_backward(Tensor<double> dy, Record&) override {
    return right_ ? Tensor<double>(xt::transpose(dy)) : dy;
  }

 private:
  bool right_;
};

TEST(CheckGradients, FailsATransposedGradient) {
  EXPECT_TRUE(check_gradients(Transposing(true), some_input({3, 3})).passed());
  EXPECT_FALSE(check_gradients(Transposing(false), some_input({3, 3})).passed());
}

TEST(CheckGradients, DirectionsFindTheSameMistakes) {
  const GradientCheckOptions options{.directions = 2};
  const GradientReport right = check_gradients(Affine(), some_input({50, 3}), options);
  EXPECT_TRUE(right.passed()) << right;
  EXPECT_EQ(right.rows[0].checked, 2);
  EXPECT_THAT(right.rows[0].where, HasSubstr("direction"));
  for (const Mistake& mistake :
       {Mistake{.dx_factor = 1 + 1e-4}, Mistake{.dscale_factor = 1 + 1e-4}, Mistake{.forgets_square = true},
        Mistake{.swaps_scale = true}, Mistake{.leaves_shift = true}})
    EXPECT_FALSE(check_gradients(Affine(mistake), some_input({50, 3}), options).passed());
  EXPECT_FALSE(check_gradients(Transposing(false), some_input({3, 3}), options).passed());
}

TEST(CheckGradients, ChecksNoMoreElementsThanAsked) {
  const GradientReport report = check_gradients(Affine(), some_input({50, 3}), {.max_elements = 10});
  EXPECT_EQ(report.rows[0].checked, 10);
  EXPECT_EQ(report.rows[1].checked, 3);
  EXPECT_TRUE(report.passed()) << report;
}

TEST(CheckGradients, LeavesTheLayerAlone) {
  Affine layer;
  layer.calls = 5;
  layer.eval();
  layer.parameters()[0]->gradient.fill(42);
  check_gradients(layer, some_input());
  EXPECT_EQ(layer.calls, 5);
  EXPECT_FALSE(layer.training());
  EXPECT_EQ(layer.parameters()[0]->gradient, full<double>({3}, 42));
  EXPECT_EQ(layer.parameters()[0]->value, (Tensor<double>{0.5, -1.25, 2.0}));
}

TEST(CheckGradients, ChecksFrozenParameters) {
  Affine layer({.dscale_factor = 1.001});
  layer.freeze();
  EXPECT_FALSE(row(check_gradients(layer, some_input()), "training", "weight").passed);
}

TEST(CheckGradients, PassesANetworkWithKinks) {
  Sequential<double> net{Linear<double>{6, 40}, ReLU<double>{}, Linear<double>{40, 40}, ReLU<double>{},
                         Linear<double>{40, 3}};
  net.initialize(3);
  const GradientReport report = check_gradients(net, some_input({8, 6}));
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_EQ(report.rows[1].tensor, "0.weight");
}

TEST(CheckGradients, PassesANearKinkThatTheFirstStepCrosses) {
  EXPECT_TRUE(check_gradients(ReLU<double>(), Tensor<double>{{1e-5, -1e-5, 1.0, -1.0}}).passed());
}

TEST(CheckGradients, NamesTheWorstElement) {
  const GradientReport report = check_gradients(Affine({.dscale_factor = -1}), some_input());
  EXPECT_THAT(report.to_string(), HasSubstr("FAIL"));
  EXPECT_THAT(report.to_string(), HasSubstr("Gradients of Affine"));
  const GradientCheckRow& weight = row(report, "training", "weight");
  EXPECT_THAT(weight.where, testing::MatchesRegex("\\([0-2]\\)"));
  EXPECT_NEAR(weight.analytic, -weight.numeric, 1e-8);
  std::ostringstream stream;
  stream << report;
  EXPECT_EQ(stream.str(), report.to_string());
}

TEST(CheckGradients, RefusesUselessOptions) {
  EXPECT_THROW(check_gradients(Affine(), some_input(), {.tolerance = 0}), ArgumentError);
  EXPECT_THROW(check_gradients(Affine(), some_input(), {.step = -1}), ArgumentError);
  EXPECT_THROW(check_gradients(Affine(), some_input(), {.max_elements = -1}), ArgumentError);
  EXPECT_THROW(check_gradients(Affine(), some_input(), {.training = false, .evaluation = false}),
               ArgumentError);
}

TEST(NumericalGradient, OfAScalarFunction) {
  const Tensor<double> x = Random(7).uniform<double>({4, 3}, 0.5, 2);
  const Tensor<double> gradient =
      numerical_gradient([](const Tensor<double>& v) { return xt::sum(v * v)(); }, x);
  EXPECT_LT(relative_error(gradient, 2 * x), 1e-8);
}

TEST(NumericalGradient, OfATensorFunction) {
  const auto x = Random(7).uniform<double>({4, 3}, 0.5, 2), dout = Random(8).normal<double>({4, 3});
  const auto cube = [](const Tensor<double>& v) { return Tensor<double>(v * v * v); };
  EXPECT_LT(relative_error(numerical_gradient(cube, x, dout), 3 * x * x * dout), 1e-7);
  EXPECT_THROW(numerical_gradient(cube, x, Tensor<double>{1.0}), ShapeError);
}

TEST(RelativeError, IsTheCoursesFormula) {
  EXPECT_DOUBLE_EQ(relative_error(Tensor<double>{1.0, 2.0}, Tensor<double>{1.0, 2.5}), 0.5 / 4.5);
  EXPECT_DOUBLE_EQ(relative_error(Tensor<double>{0.0}, Tensor<double>{1e-10}), 1e-2);
  EXPECT_TRUE(std::isinf(relative_error(Tensor<double>{NAN}, Tensor<double>{1.0})));
  EXPECT_THROW(relative_error(Tensor<double>{1.0}, Tensor<double>{1.0, 2.0}), ShapeError);
}

}  // namespace
}  // namespace strata
