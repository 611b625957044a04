// Strata's layers alone, forward and backward, on the cases of layers.json; besides, what the machine can do:
// its fastest product of matrices and the passes over memory that no normalization can do without. A figure
// is the median of many calls, as the machine may have other work.
#include <algorithm>
#include <benchmark/benchmark.h>
#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "benchmarks/layer_factory.hpp"
#include "strata/framework/runtime/blas.hpp"
#include "strata/framework/runtime/parallel.hpp"

namespace st = strata;
using benchmarks::Subject;
using nlohmann::json;

namespace {

using MakeSubject = std::function<std::unique_ptr<Subject>()>;

/// The times of some calls.
class Times {
 public:
  template <class Function>
  void add(const Function& function) {
    const auto start = std::chrono::steady_clock::now();
    function();
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    ms_.push_back(time.count());
  }
  double median_ms() {
    const auto middle = ms_.begin() + static_cast<std::ptrdiff_t>(ms_.size() / 2);
    std::nth_element(ms_.begin(), middle, ms_.end());
    return *middle;
  }

 private:
  std::vector<double> ms_;
};

// What is measured is told in counters, as Google Benchmark knows no median of the calls.
void forward_and_backward(benchmark::State& state, const MakeSubject& make) {
  const std::unique_ptr<Subject> subject = make();
  const auto call = [&](Times& forward, Times& backward) {
    subject->make_input();
    forward.add([&] { subject->forward(); });
    subject->make_gradient();
    backward.add([&] { subject->backward(); });
  };
  Times forward, backward, unused;
  call(unused, unused);  // takes memory from the system
  for (auto _ : state) call(forward, backward);
  state.counters["forward_ms"] = forward.median_ms();
  state.counters["backward_ms"] = backward.median_ms();
}

// Every thread multiplies matrices of its own.
void gemm(benchmark::State& state) {
  const st::Index n = state.range(0), threads = st::num_threads();
  const auto elements = static_cast<std::size_t>(n * n);
  std::vector<st::Tensor<float>> a(threads, st::full<float>({elements}, 1)), b = a, c = a;
  Times times;
  for (auto _ : state)
    times.add([&] {
      st::parallel_for(threads, [&](st::Index i) {
        st::gemm<float>(st::Transpose::no, st::Transpose::no, n, n, n, 1, a[i].data(), n, b[i].data(), n, 0,
                        c[i].data(), n);
      });
    });
  state.counters["ms"] = times.median_ms();
}

void register_all(const json& layers, double seconds) {
  std::set<st::Index> counts;
  const auto add_one = [&](const std::string& name, const MakeSubject& make) {
    benchmark::RegisterBenchmark(name.c_str(), forward_and_backward, make)->UseRealTime()->MinTime(seconds);
  };
  for (const json& entry : layers)
    for (std::size_t i = 0; i < entry.at("cases").size(); ++i) {
      const json shape = entry["cases"][i];
      add_one(entry.at("name").get<std::string>() + "/" + std::to_string(i),
              [entry, shape] { return benchmarks::make_subject(entry, shape); });
      if (entry.value("floor", false))
        counts.insert(st::element_count(shape.at("input").get<std::vector<std::size_t>>()));
    }
  for (const st::Index count : counts)
    add_one("floor/" + std::to_string(count), [count] { return benchmarks::make_floor(count); });
  for (const st::Index n : {96, 192, 384, 768})
    benchmark::RegisterBenchmark("gemm", gemm)->Arg(n)->UseRealTime()->MinTime(seconds);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 3) {
    std::cerr << "usage: layers LAYERS.JSON SECONDS_EACH [--benchmark_OPTION...]\n";
    return 2;
  }
  std::ifstream file(argv[1]);
  const json layers = json::parse(file);
  register_all(layers, std::stod(argv[2]));
  benchmark::RunSpecifiedBenchmarks();
}
