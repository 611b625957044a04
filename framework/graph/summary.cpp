#include "strata/framework/graph/summary.hpp"

#include <cstdio>
#include <ostream>

#include "strata/framework/text_table.hpp"

namespace strata {
namespace {

template <class T>
void add_row(Summary& summary, const std::string& path, const typename Layer<T>::Step& step);

template <class T>
void add_rows(Summary& summary, const std::string& prefix,
              const std::vector<typename Layer<T>::Step>& steps) {
  for (const auto& step : steps) add_row<T>(summary, prefix + step.name, step);
}

template <class T>
void add_row(Summary& summary, const std::string& path, const typename Layer<T>::Step& step) {
  const auto parts = step.layer ? step.layer->steps(step.input) : std::vector<typename Layer<T>::Step>();
  SummaryRow& row = summary.rows.emplace_back();
  row.path = path;
  row.type = step.type;
  row.output = step.output;
  row.container = !parts.empty();
  if (step.layer) {
    row.options = step.layer->options();
    row.algorithm = step.layer->algorithm(step.input);
  }
  if (!row.container) row.output_bytes = static_cast<std::uint64_t>(element_count(step.output)) * sizeof(T);
  if (!row.container && step.layer) {
    row.parameters = static_cast<std::uint64_t>(step.layer->parameter_count());
    row.multiply_adds = step.layer->multiply_adds(step.input);
  }
  summary.parameters += row.parameters;
  summary.multiply_adds += row.multiply_adds;
  summary.output_bytes += row.output_bytes;
  add_rows<T>(summary, path + ".", parts);
}

template <class T>
void count_parameters(Summary& summary, const Layer<T>& net) {
  summary.parameter_bytes = summary.parameters * sizeof(T);
  summary.trainable_parameters = static_cast<std::uint64_t>(net.trainable_parameter_count());
}

// "1,234,567"
std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t i = text.size(); i > 3;) text.insert(i -= 3, 1, ',');
  return text;
}

std::string bytes(std::uint64_t count) {
  char text[32];
  const double value = static_cast<double>(count);
  if (count < 1024) return std::to_string(count) + " B";
  if (count < 1024 * 1024)
    std::snprintf(text, sizeof text, "%.1f KiB", value / 1024);
  else
    std::snprintf(text, sizeof text, "%.1f MiB", value / (1024 * 1024));
  return text;
}

}  // namespace

template <class T>
Summary summary(const Layer<T>& net, const Shape& input) {
  Summary result;
  const auto steps = net.steps(input);
  if (steps.empty())
    add_row<T>(result, "", {"", net.type(), &net, input, net.output_shape(input)});
  else
    add_rows<T>(result, "", steps);
  count_parameters(result, net);
  return result;
}

template <class T>
Summary summary(const Graph<T>& net, const std::vector<Shape>& inputs) {
  Summary result;
  add_rows<T>(result, "", net.steps(inputs));
  count_parameters(result, net);
  return result;
}

std::string Summary::to_string() const {
  std::vector<std::vector<std::string>> cells{
      {"layer", "type", "output shape", "algorithm", "parameters", "multiply-adds", "output"}};
  for (const SummaryRow& row : rows) {
    std::string kind = row.type;
    if (!row.options.empty()) kind.append(" ").append(row.options);
    cells.push_back({row.path, kind, strata::to_string(row.output), row.algorithm,
                     row.container ? "" : grouped(row.parameters),
                     row.container ? "" : grouped(row.multiply_adds),
                     row.container ? "" : bytes(row.output_bytes)});
  }
  cells.push_back({"total", "", "", "", grouped(parameters), grouped(multiply_adds), bytes(output_bytes)});
  return table(cells, {Align::left, Align::left, Align::left, Align::left, Align::right}) +
         grouped(trainable_parameters) + " of " + grouped(parameters) +
         " parameters are trainable; they take " + bytes(parameter_bytes) + "\n";
}

std::ostream& operator<<(std::ostream& stream, const Summary& summary) {
  return stream << summary.to_string();
}

template Summary summary(const Layer<float>&, const Shape&);
template Summary summary(const Layer<double>&, const Shape&);
template Summary summary(const Graph<float>&, const std::vector<Shape>&);
template Summary summary(const Graph<double>&, const std::vector<Shape>&);

}  // namespace strata
