// Strata's layers alone, forward and backward, on the cases of layers.json; besides, what the machine can do:
// its fastest product of matrices and the passes over memory that no normalization can do without.
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
#include "strata/framework/blas.hpp"
#include "strata/framework/parallel.hpp"

namespace st = strata;
using benchmarks::Subject;
using nlohmann::json;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

template <class Function>
void time(benchmark::State& state, const Function& function) {
  const auto start = Clock::now();
  function();
  state.SetIterationTime(seconds_since(start));
}

// A layer consumes its input and its gradient; what it is given is made, and what it gives is freed, off the
// clock.
void forward(benchmark::State& state, const json& entry, const json& shape) {
  const std::unique_ptr<Subject> subject = benchmarks::make_subject(entry, shape);
  for (auto _ : state) {
    subject->prepare();
    time(state, [&] { subject->forward(); });
  }
}

void backward(benchmark::State& state, const json& entry, const json& shape) {
  const std::unique_ptr<Subject> subject = benchmarks::make_subject(entry, shape);
  for (auto _ : state) {
    subject->prepare();
    subject->forward();
    time(state, [&] { subject->backward(); });
  }
}

// How many rounds fit into so many seconds, all that is off the clock included: Google Benchmark counts what
// is on the clock alone, and would copy the input of a layer that does next to nothing for minutes.
std::int64_t rounds_within(double seconds, const json& entry, const json& shape) {
  const std::unique_ptr<Subject> subject = benchmarks::make_subject(entry, shape);
  const auto round = [&] {
    subject->prepare();
    subject->forward();
    subject->backward();
  };
  round();
  const auto start = Clock::now();
  round();
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(seconds / seconds_since(start)), 3, 10000);
}

constexpr st::Index kGrain = 16384;

// Compiled for the processor at hand, as the kernels are.
__attribute__((target_clones("avx512f", "avx2", "default"))) void add(const float* a, const float* b,
                                                                      float* c, st::Index count) {
  for (st::Index i = 0; i < count; ++i) c[i] = a[i] + b[i];
}

void copy_pass(benchmark::State& state) {
  const st::Index count = state.range(0);
  st::Tensor<float> a = st::full<float>({static_cast<std::size_t>(count)}, 1), b = a;
  for (auto _ : state)
    time(state, [&] {
      st::parallel_ranges(count, kGrain, [&](st::Index begin, st::Index end) {
        std::copy(a.data() + begin, a.data() + end, b.data() + begin);
      });
    });
}

void add_pass(benchmark::State& state) {
  const st::Index count = state.range(0);
  st::Tensor<float> a = st::full<float>({static_cast<std::size_t>(count)}, 1), b = a, c = a;
  for (auto _ : state)
    time(state, [&] {
      st::parallel_ranges(count, kGrain, [&](st::Index begin, st::Index end) {
        add(a.data() + begin, b.data() + begin, c.data() + begin, end - begin);
      });
    });
}

// Every thread multiplies matrices of its own.
void gemm(benchmark::State& state) {
  const st::Index n = state.range(0), threads = st::num_threads();
  const auto elements = static_cast<std::size_t>(n * n);
  std::vector<st::Tensor<float>> a(threads, st::full<float>({elements}, 1)), b = a, c = a;
  for (auto _ : state)
    time(state, [&] {
      st::parallel_for(threads, [&](st::Index i) {
        st::gemm<float>(st::Transpose::no, st::Transpose::no, n, n, n, 1, a[i].data(), n, b[i].data(), n, 0,
                        c[i].data(), n);
      });
    });
  state.counters["flop"] = 2.0 * static_cast<double>(n * n * n * threads);
}

void register_all(const json& layers, double seconds) {
  std::set<st::Index> counts;
  for (const json& entry : layers)
    for (std::size_t i = 0; i < entry.at("cases").size(); ++i) {
      const json& shape = entry["cases"][i];
      const std::string name = entry.at("name").get<std::string>() + "/" + std::to_string(i);
      const std::int64_t rounds = rounds_within(seconds, entry, shape);
      const auto add_one = [&](const char* direction, auto* function) {
        benchmark::RegisterBenchmark((name + direction).c_str(), function, entry, shape)
            ->UseManualTime()
            ->Iterations(rounds);
      };
      add_one("/forward", forward);
      add_one("/backward", backward);
      if (entry.value("floor", false))
        counts.insert(st::element_count(shape.at("input").get<std::vector<std::size_t>>()));
    }
  for (const st::Index count : counts) {
    benchmark::RegisterBenchmark("copy", copy_pass)->Arg(count)->UseManualTime()->MinTime(seconds);
    benchmark::RegisterBenchmark("add", add_pass)->Arg(count)->UseManualTime()->MinTime(seconds);
  }
  for (const st::Index n : {96, 192, 384, 768})
    benchmark::RegisterBenchmark("gemm", gemm)->Arg(n)->UseManualTime()->MinTime(seconds);
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
