// Add and Concat with random numbers of inputs and shapes.
#include "tests/properties/random_runs.hpp"
#include "tests/properties/subject.hpp"

namespace strata {
namespace {

using namespace strata::testing;

constexpr std::uint64_t kCases = 200;
constexpr std::uint64_t kGradientChecks = 12;

template <class T>
class JoinProperty : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(JoinProperty, Types);

template <class T>
std::vector<Tensor<T>> random_tensors(const std::vector<Shape>& shapes, Random& random) {
  std::vector<Tensor<T>> tensors;
  for (const Shape& shape : shapes) tensors.push_back(random.normal<T>(shape));
  return tensors;
}

std::vector<Shape> add_shapes(Random& random) {
  return std::vector<Shape>(static_cast<std::size_t>(pick(random, 1, 5)), random_shape(random, 1, 5, 7));
}

std::vector<Shape> concat_shapes(Random& random) {
  const Shape shape = random_shape(random, 2, 5, 6);
  std::vector<Shape> shapes(static_cast<std::size_t>(pick(random, 1, 5)), shape);
  for (Shape& s : shapes) s[1] = static_cast<std::size_t>(pick(random, 1, 6));
  return shapes;
}

TYPED_TEST(JoinProperty, AddIsItsFormula) {
  using T = TypeParam;
  for_random_seeds(kCases, [](Random& random) {
    const auto shapes = add_shapes(random);
    SCOPED_TRACE(std::to_string(shapes.size()) + " x " + to_string(shapes[0]));
    const auto x = random_tensors<T>(shapes, random);
    auto sum = full<double>(shapes[0], 0);
    for (const Tensor<T>& input : x)
      for (std::size_t i = 0; i < sum.size(); ++i) sum.data()[i] += static_cast<double>(input.data()[i]);
    const double tolerance = 4 * static_cast<double>(std::numeric_limits<T>::epsilon());
    EXPECT_LE(max_error(Add<T>().forward(x), sum), tolerance);
    const auto dy = random.normal<T>(shapes[0]);
    EXPECT_EQ(Add<T>().backward(dy, shapes), std::vector<Tensor<T>>(shapes.size(), dy));
  });
}

TYPED_TEST(JoinProperty, ConcatIsItsFormula) {
  using T = TypeParam;
  for_random_seeds(kCases, [](Random& random) {
    const auto shapes = concat_shapes(random);
    const auto x = random_tensors<T>(shapes, random);
    const Tensor<T> y = Concat<T>().forward(x);
    SCOPED_TRACE(std::to_string(shapes.size()) + " inputs make " + to_string(y.shape()));
    // The inputs' channels, one after the other, sample by sample.
    const std::size_t samples = shapes[0][0];
    std::size_t at = 0;
    for (std::size_t n = 0; n < samples; ++n)
      for (const Tensor<T>& input : x)
        for (std::size_t i = 0; i < input.size() / samples; ++i)
          ASSERT_EQ(y.data()[at++], input.data()[n * (input.size() / samples) + i]);
    EXPECT_EQ(y.size(), at);
    EXPECT_EQ(Concat<T>().backward(y, shapes), x);
  });
}

template <template <class> class J>
void check_join_gradients(std::vector<Shape> (*shapes)(Random&)) {
  for_random_seeds(kGradientChecks, [&](Random& random) {
    const auto x = random_tensors<double>(shapes(random), random);
    const GradientReport report =
        check_gradients(J<double>(), x, {.max_elements = 20, .seed = random.bits()});
    EXPECT_TRUE(report.passed()) << report;
  });
}

TEST(JoinProperty, GradientsEqualDifferences) {
  check_join_gradients<Add>(add_shapes);
  check_join_gradients<Concat>(concat_shapes);
}

}  // namespace
}  // namespace strata
