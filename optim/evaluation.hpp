// Evaluation: how good a network is on a data set.
#pragma once

#include <optional>

#include "strata/framework/data/augmentation.hpp"
#include "strata/framework/data/dataset.hpp"
#include "strata/framework/export.hpp"
#include "strata/framework/graph/inference.hpp"
#include "strata/framework/labels.hpp"
#include "strata/framework/layer.hpp"
#include "strata/framework/loss.hpp"

namespace STRATA_EXPORT strata {

struct EvaluationOptions {
  Index batch_size = 64;
  std::optional<Standardization> standardization = std::nullopt;
  /// Throw NotFiniteError when the loss is NaN or infinite; it names the layer where that began.
  bool check_finite = false;
};

struct Evaluation {
  double loss;      ///< mean over all samples
  double accuracy;  ///< in [0, 1]
  Labels
      predictions;  ///< one per sample, in their order; for a ConfusionMatrix. kNoClass where a score is NaN
};

/// Runs a data set through a model in batches; it gives scores (N, classes). Throws ArgumentError for a null
/// or empty data set, ShapeError if it does not fit the network.
template <class T>
STRATA_EXPORT Evaluation evaluate(const Inference<T>& model, std::shared_ptr<const Dataset> dataset,
                                  const EvaluationOptions& options = {},
                                  const Loss<T>& loss = SoftmaxCrossEntropy<T>{});
/// The same for the network as it is now, which it leaves as it is.
template <class T>
STRATA_EXPORT Evaluation evaluate(const Layer<T>& net, std::shared_ptr<const Dataset> dataset,
                                  const EvaluationOptions& options = {},
                                  const Loss<T>& loss = SoftmaxCrossEntropy<T>{});

namespace detail {
/// Throws ShapeError, naming the layer, unless the network makes scores (N, classes) of batches of the data
/// set, and ArgumentError for a null or empty data set; `owner` is for messages.
template <class T>
STRATA_EXPORT void check_fit(const char* owner, const Layer<T>& net, const Dataset* dataset,
                             Index batch_size);
}  // namespace detail

extern template Evaluation evaluate(const Inference<float>&, std::shared_ptr<const Dataset>,
                                    const EvaluationOptions&, const Loss<float>&);
extern template Evaluation evaluate(const Inference<double>&, std::shared_ptr<const Dataset>,
                                    const EvaluationOptions&, const Loss<double>&);
extern template Evaluation evaluate(const Layer<float>&, std::shared_ptr<const Dataset>,
                                    const EvaluationOptions&, const Loss<float>&);
extern template Evaluation evaluate(const Layer<double>&, std::shared_ptr<const Dataset>,
                                    const EvaluationOptions&, const Loss<double>&);

}  // namespace strata
