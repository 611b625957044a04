// How benchmarks/run.py talks to a program that is measured: one line of JSON each way, until its input ends.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace benchmarks {

/// One unit of the work that is timed: a training step, an evaluation of a batch.
struct Work {
  std::function<void()> call;
  std::function<void()> before = [] {};             ///< each call, off the clock
  nlohmann::json about = nlohmann::json::object();  ///< goes into the answer, for the page
};

inline std::vector<double> milliseconds(const Work& work, int calls) {
  std::vector<double> result;
  for (int i = 0; i < calls; ++i) {
    work.before();
    const auto start = std::chrono::steady_clock::now();
    work.call();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    result.push_back(took.count());
  }
  return result;
}

/// {"case": {...}} prepares the work and answers {"ready": {...}}; {"calls": n} does it n times and answers
/// {"ms": [...]}. What throws is answered by {"error": "..."}.
inline void serve(const std::function<Work(const nlohmann::json&)>& prepare) {
  Work work;
  for (std::string line; std::getline(std::cin, line);) {
    nlohmann::json answer;
    try {
      const auto request = nlohmann::json::parse(line);
      if (request.contains("case")) {
        work = {};  // frees the last one first
        work = prepare(request.at("case"));
        answer["ready"] = work.about;
      } else {
        answer["ms"] = milliseconds(work, request.at("calls"));
      }
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer << std::endl;
  }
}

}  // namespace benchmarks
