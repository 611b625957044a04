// Losses and their gradients against PyTorch's. tests/reference/layer_cases.py lists the cases.
//
// PyTorch's multi_margin_loss divides by the number of classes; CS231n's hinge and ours do not, and the
// recorded values are multiplied by it.
#include <map>
#include <memory>

#include "strata/strata.hpp"
#include "tests/reference.hpp"

namespace strata {
namespace {

using nlohmann::json;
using pytorch::Case;

LossResult<double> compute(const std::string& loss, const json& expected) {
  const Tensor<double> scores = pytorch::to_tensor(expected.at("scores"));
  const json& options = expected.at("options");
  if (loss == "MeanSquaredError")
    return MeanSquaredError<double>()(scores, pytorch::to_tensor(expected.at("target")));
  const auto labels = expected.at("labels").get<Labels>();
  if (loss == "MulticlassHinge") {
    MulticlassHingeOptions hinge;
    pytorch::read(options, "margin", hinge.margin);
    return MulticlassHinge<double>(hinge)(scores, labels);
  }
  SoftmaxCrossEntropyOptions softmax;
  pytorch::read(options, "label_smoothing", softmax.label_smoothing);
  return SoftmaxCrossEntropy<double>(softmax)(scores, labels);
}

class LossAgainstPyTorch : public testing::TestWithParam<Case> {};

TEST_P(LossAgainstPyTorch, ValueAndGradient) {
  const json expected = pytorch::load(GetParam());
  const auto result = compute(GetParam().file, expected);
  EXPECT_TRUE(pytorch::near(result.value, expected.at("value").get<double>()));
  EXPECT_TRUE(pytorch::near(result.gradient, expected.at("gradient")));
}

#define STRATA_COMPARE(LOSS)                                                                   \
  INSTANTIATE_TEST_SUITE_P(LOSS, LossAgainstPyTorch, testing::ValuesIn(pytorch::cases(#LOSS)), \
                           pytorch::name_of)
STRATA_COMPARE(SoftmaxCrossEntropy);
STRATA_COMPARE(MulticlassHinge);
STRATA_COMPARE(MeanSquaredError);
#undef STRATA_COMPARE

TEST(LossAgainstPyTorchFiles, HoldSixCasesOfEveryLoss) {
  for (const char* loss : {"SoftmaxCrossEntropy", "MulticlassHinge", "MeanSquaredError"})
    EXPECT_GE(pytorch::case_names(loss).size(), 6u) << loss;
}

}  // namespace
}  // namespace strata
