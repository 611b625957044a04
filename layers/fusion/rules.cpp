// What runs as one: the list of rules. The first that finds its layers at the front of a stretch takes them.
#include "strata/framework/graph/step.hpp"
#include "strata/layers/fusion/add_relu.hpp"
#include "strata/layers/fusion/convolution_run.hpp"
#include "strata/layers/fusion/folded_convolution.hpp"
#include "strata/layers/fusion/norm_relu.hpp"

namespace strata {

template <class T>
std::unique_ptr<TrainingStep<T>> fuse_training(Stretch<T> nodes) {
  if (auto step = fusion::convolution_run(nodes)) return step;     // (conv, norm, ReLU, [pool])..., [conv]
  if (auto step = fusion::norm_relu_training(nodes)) return step;  // norm, ReLU, [pool]
  if (auto step = fusion::add_relu_training(nodes)) return step;   // add, [ReLU]
  return nullptr;
}

template <class T>
std::unique_ptr<InferenceStep<T>> fuse_inference(Stretch<T> nodes, std::size_t first, Prepared& prepared) {
  if (auto step = fusion::folded_convolution(nodes, first, prepared))
    return step;                                                    // conv, [norm], [ReLU or add, [ReLU]]
  if (auto step = fusion::norm_relu_inference(nodes)) return step;  // norm, ReLU
  if (auto step = fusion::add_relu_inference(nodes)) return step;   // add, [ReLU]
  return nullptr;
}

template std::unique_ptr<TrainingStep<float>> fuse_training(Stretch<float>);
template std::unique_ptr<TrainingStep<double>> fuse_training(Stretch<double>);
template std::unique_ptr<InferenceStep<float>> fuse_inference(Stretch<float>, std::size_t, Prepared&);
template std::unique_ptr<InferenceStep<double>> fuse_inference(Stretch<double>, std::size_t, Prepared&);

}  // namespace strata
