// Every layer with random options and shapes: it does what its formula says, in training and in evaluation.
#include "tests/properties/random_runs.hpp"
#include "tests/properties/subject.hpp"

namespace strata {
namespace {

using namespace strata::testing;

constexpr std::uint64_t kCases = 200;          // for each class and each of the two number types
constexpr std::uint64_t kGradientChecks = 12;  // for each class

// Real numbers, or whole ones: ties, zeros, sets without variance.
template <class T>
Tensor<T> random_values(const Shape& shape, bool whole, Random& random) {
  auto values = random.normal<T>(shape, 0.5, 2);
  if (whole)
    for (T& value : values) value = std::round(value);
  return values;
}

template <class T>
void expect_near(const std::string& what, const Tensor<T>& got, const Expected& expected, double condition) {
  const double tolerance = std::is_same_v<T, float> ? 4e-6 : 1e-13;
  EXPECT_LE(max_error(got, expected.value, expected.scale), tolerance * condition) << what;
}

template <class T>
void expect_buffers(Layer<T>& layer, const Outcome& expected) {
  const auto buffers = layer.named_buffers();
  ASSERT_EQ(buffers.size(), expected.buffers.size());
  for (std::size_t k = 0; k < buffers.size(); ++k)
    if (const auto* const tensor = std::get_if<Tensor<T>*>(&buffers[k].value))
      expect_near(buffers[k].name, **tensor, {expected.buffers[k], 1}, expected.condition);
    else
      EXPECT_EQ(static_cast<double>(*std::get<std::int64_t*>(buffers[k].value)), expected.buffers[k](0))
          << buffers[k].name;
}

template <class T>
void expect_as_formula(Subject<T>& subject, bool training, Random& random) {
  Layer<T>& layer = *subject.layer;
  layer.train(training);
  const auto x = random_values<T>(subject.input, coin(random), random);
  const auto dy = random_values<T>(layer.output_shape(subject.input), coin(random), random);
  const Outcome expected = subject.formula(training, widen(x), widen(dy));
  const auto parameters = layer.named_parameters();
  for (const auto& [name, parameter] : parameters)
    parameter->gradient.fill(std::numeric_limits<T>::quiet_NaN());

  const Tensor<T> y = layer.forward(x);
  expect_near("y", y, expected.y, expected.condition);
  expect_buffers(layer, expected);
  expect_near("dx", layer.backward(dy), expected.dx, expected.condition);
  ASSERT_EQ(parameters.size(), expected.gradients.size());
  for (std::size_t k = 0; k < parameters.size(); ++k)
    expect_near(parameters[k].first, parameters[k].second->gradient, expected.gradients[k],
                expected.condition);

  if (training) return;
  EXPECT_TRUE(same_bits(layer.infer(x), y));
  layer.forward(x);
  layer.backward_parameters(dy);
  for (std::size_t k = 0; k < parameters.size(); ++k)
    expect_near(parameters[k].first, parameters[k].second->gradient, expected.gradients[k],
                expected.condition);
}

class LayerProperty : public ::testing::TestWithParam<LayerClass> {
 public:
  template <class T>
  static void expect_formula() {
    for_random_seeds(kCases, [](Random& random) {
      Subject<T> subject = GetParam().draw<T>(random);
      SCOPED_TRACE(subject.layer->label() + " " + subject.layer->options() + " of " +
                   to_string(subject.input));
      // Two batches, so that what one leaves behind shows in the next.
      for (const bool training : {true, true, false}) {
        SCOPED_TRACE(training ? "training" : "evaluation");
        expect_as_formula(subject, training, random);
      }
    });
  }
};

TEST_P(LayerProperty, EqualsTheFormulaInFloat) {
  expect_formula<float>();
}

TEST_P(LayerProperty, EqualsTheFormulaInDouble) {
  expect_formula<double>();
}

TEST_P(LayerProperty, GradientsEqualDifferences) {
  for_random_seeds(kGradientChecks, [](Random& random) {
    Subject<double> subject = GetParam().draw<double>(random);
    while (element_count(subject.input) > 600) subject = GetParam().draw<double>(random);
    subject.layer->forward(random.normal<double>(subject.input));  // moves running statistics
    const GradientReport report =
        check_gradients(*subject.layer, distinct_values<double>(subject.input, random.bits()),
                        {.max_elements = 20, .seed = random.bits()});
    EXPECT_TRUE(report.passed()) << report;
  });
}

std::vector<LayerClass> all_classes() {
  std::vector<LayerClass> all;
  for (const auto& classes :
       {linear_classes(), normalization_classes(), elementwise_classes(), pooling_classes()})
    all.insert(all.end(), classes.begin(), classes.end());
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, LayerProperty, ::testing::ValuesIn(all_classes()),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace strata
