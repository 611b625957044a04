#include "strata/optim/evaluation.hpp"

#include <algorithm>
#include <cmath>

#include "strata/framework/data/loader.hpp"
#include "strata/framework/metrics.hpp"
#include "strata/optim/finite.hpp"

namespace strata {

template <class T>
void detail::check_fit(const char* owner, const Layer<T>& net, const Dataset* dataset, Index batch_size) {
  if (!dataset || dataset->size() == 0)
    throw ArgumentError(std::string(owner) + ": the data set is " + (dataset ? "empty" : "null"));
  if (batch_size < 1)
    throw ArgumentError(std::string(owner) + ": batch_size must be at least 1, got " +
                        std::to_string(batch_size));
  const auto batch = static_cast<std::size_t>(std::min(batch_size, dataset->size()));
  const Shape sample = dataset->sample_shape();
  Shape input{batch};
  input.insert(input.end(), sample.begin(), sample.end());
  const Shape expected{batch, static_cast<std::size_t>(dataset->classes())};
  const Shape scores = net.output_shape(input);
  if (scores != expected)
    throw ShapeError(std::string(owner) + ": " + net.label() + " must give one score for each of the " +
                     std::to_string(dataset->classes()) + " classes, " + to_string(expected) +
                     " for an input " + to_string(input) + ", but gives " + to_string(scores));
}

namespace {

// Replays the batch on a copy of the network that looks at every value.
template <class T>
[[noreturn]] void fail_not_finite(const Layer<T>& net, const Tensor<T>& samples, Index batch) {
  const std::string where = "evaluation, batch " + std::to_string(batch + 1) + ": ";
  const std::unique_ptr<Layer<T>> twin = net.clone();
  detail::require_finite(where, *twin);
  detail::require_finite_run(where, samples, [&] { twin->infer(samples); });
  throw NotFiniteError(where + "the loss is NaN or infinite");
}

}  // namespace

template <class T>
Evaluation evaluate(const Inference<T>& model, std::shared_ptr<const Dataset> dataset,
                    const EvaluationOptions& options, const Loss<T>& loss) {
  detail::check_fit("evaluate", model.network(), dataset.get(), options.batch_size);
  const Index count = dataset->size();
  DataLoader<T> loader(
      std::move(dataset),
      {.batch_size = options.batch_size, .shuffle = false, .standardization = options.standardization});
  Evaluation result{0, 0, {}};
  Index correct = 0;
  loader.start_epoch(0);
  for (Index number = 0; std::optional<Batch<T>> batch = loader.next(); ++number) {
    const Tensor<T> scores = model(std::move(batch->samples));
    const double value = loss(scores, batch->labels).value;
    if (options.check_finite && !std::isfinite(value)) {
      loader.start_epoch(0, number);
      fail_not_finite(model.network(), loader.next()->samples, number);
    }
    result.loss += value * static_cast<double>(batch->labels.size());
    for (std::size_t i = 0; const std::int32_t predicted : predictions(scores)) {
      correct += predicted == batch->labels[i++];
      result.predictions.push_back(predicted);
    }
  }
  result.loss /= static_cast<double>(count);
  result.accuracy = static_cast<double>(correct) / static_cast<double>(count);
  return result;
}

template <class T>
Evaluation evaluate(const Layer<T>& net, std::shared_ptr<const Dataset> dataset,
                    const EvaluationOptions& options, const Loss<T>& loss) {
  return evaluate(Inference<T>(net), std::move(dataset), options, loss);
}

template Evaluation evaluate(const Inference<float>&, std::shared_ptr<const Dataset>,
                             const EvaluationOptions&, const Loss<float>&);
template Evaluation evaluate(const Inference<double>&, std::shared_ptr<const Dataset>,
                             const EvaluationOptions&, const Loss<double>&);
template void detail::check_fit(const char*, const Layer<float>&, const Dataset*, Index);
template void detail::check_fit(const char*, const Layer<double>&, const Dataset*, Index);
template Evaluation evaluate(const Layer<float>&, std::shared_ptr<const Dataset>, const EvaluationOptions&,
                             const Loss<float>&);
template Evaluation evaluate(const Layer<double>&, std::shared_ptr<const Dataset>, const EvaluationOptions&,
                             const Loss<double>&);

}  // namespace strata
