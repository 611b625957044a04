// What each algorithm says that it can, it can: all of them, on shapes of every kind, in guarded memory.
#include <map>

#include <gtest/gtest.h>

#include "strata/layers/kernels/convolution/convolution.hpp"
#include "tests/layers/kernels/convolution_problem.hpp"
#include "tests/layers/kernels/guarded_memory.hpp"
#include "tests/layers/kernels/image_layouts.hpp"
#include "tests/layers/random_cases.hpp"
#include "tests/properties/random_runs.hpp"

namespace strata {
namespace {

using namespace strata::testing;
using kernels::ConvolutionShape;

constexpr std::uint64_t kCases = 1500;

// Uniform in [low, high], in most cases the same along both axes.
Size2D pick_usual_size(Random& random, Index low, Index high) {
  return random.below(4) == 0 ? pick_size(random, low, high) : Size2D(pick(random, low, high));
}

// Strides and dilations: often there are none.
Size2D pick_steps(Random& random) {
  return random.below(2) == 0 ? Size2D(1) : pick_usual_size(random, 1, 4);
}

Index pick_channels(Random& random) {
  return random.below(4) == 0 ? kPixelChannels : pick(random, 1, 17);
}

// A convolution, or one that a transposed convolution has transposed: such an `in` may have rows and columns
// that no window reaches. Nothing if the window does not fit.
std::optional<ConvolutionShape> pick_shape(Random& random) {
  ConvolutionShape s{.batch = pick(random, 1, 3),
                     .in_channels = pick_channels(random),
                     .in = pick_usual_size(random, 1, 9),
                     .out_channels = pick_channels(random),
                     .out = pick_usual_size(random, random.below(2) == 0 ? 1 : 7, 9),
                     .kernel = random.below(8) == 0 ? Size2D(1) : pick_usual_size(random, 1, 5),
                     .stride = pick_steps(random),
                     .padding = pick_usual_size(random, 0, 3),
                     .dilation = pick_steps(random),
                     .groups = 1,
                     .winograd = true,
                     .rectify = false};
  const Size2D reach(s.dilation.h * (s.kernel.h - 1), s.dilation.w * (s.kernel.w - 1));
  if (random.below(2) == 0) s.padding = {reach.h / 2, reach.w / 2};
  switch (random.below(4)) {
    case 0:  // depthwise
      s.groups = s.in_channels = s.out_channels;
      break;
    case 1:
      s.groups = pick(random, 2, 4);
      s.in_channels = s.groups * pick(random, 1, 17 / s.groups);
      s.out_channels = s.groups * pick(random, 1, 17 / s.groups);
      break;
    case 2:
      if (random.below(3) > 0) break;
      s.kernel = s.stride = 1;
      s.padding = 0;
      s.in_channels = pick(random, 30, 40);
      s.out_channels = pick(random, 30, 40);
      break;
    default:
      break;
  }
  if (random.below(2) == 0) {
    const Size2D beyond(pick(random, 0, std::max(s.stride.h, s.dilation.h) - 1),
                        pick(random, 0, std::max(s.stride.w, s.dilation.w) - 1));
    // As likely as not an image of the same size, though it is padded otherwise at its end.
    if (random.below(2) == 0) s.padding = {(reach.h + beyond.h) / 2, (reach.w + beyond.w) / 2};
    s.in = {(s.out.h - 1) * s.stride.h - 2 * s.padding.h + reach.h + beyond.h + 1,
            (s.out.w - 1) * s.stride.w - 2 * s.padding.w + reach.w + beyond.w + 1};
    if (s.in.h < 1 || s.in.w < 1) return {};
  } else {
    const Size2D slack(s.in.h + 2 * s.padding.h - reach.h - 1, s.in.w + 2 * s.padding.w - reach.w - 1);
    if (slack.h < 0 || slack.w < 0) return {};
    s.out = {slack.h / s.stride.h + 1, slack.w / s.stride.w + 1};
  }
  return s;
}

std::string describe(const ConvolutionShape& s) {
  std::ostringstream text;
  text << "batch " << s.batch << ", " << s.in_channels << " -> " << s.out_channels << ", " << to_string(s.in)
       << " -> " << to_string(s.out) << ", kernel " << to_string(s.kernel) << ", stride "
       << to_string(s.stride) << ", padding " << to_string(s.padding) << ", dilation "
       << to_string(s.dilation) << ", groups " << s.groups;
  return text.str();
}

// Whole numbers from -3 to 3: all sums of their products are exact.
template <class T>
Tensor<T> whole_numbers(const Shape& shape, Random& random) {
  auto values = empty<T>(shape);
  auto state = static_cast<std::uint32_t>(random.bits());
  for (T& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<T>(static_cast<int>((state >> 16) % 7) - 3);
  }
  return values;
}

// A shape, data, and what the plain loops make of them.
template <class T>
struct Convolution {
  Convolution(const ConvolutionShape& shape, Random& random)
      : s(shape),
        x(whole_numbers<T>(shape4(s.batch, s.in_channels, s.in.h, s.in.w), random)),
        w(whole_numbers<T>(shape4(s.out_channels, s.group_in_channels(), s.kernel.h, s.kernel.w), random)),
        dy(whole_numbers<T>(shape4(s.batch, s.out_channels, s.out.h, s.out.w), random)),
        bias(whole_numbers<T>({static_cast<std::size_t>(s.out_channels)}, random)),
        bias_of_dx(whole_numbers<T>({static_cast<std::size_t>(s.in_channels)}, random)),
        y(empty<T>(dy.shape())),
        dx(empty<T>(x.shape())),
        dx_and_bias(empty<T>(x.shape())),
        dw(empty<T>(w.shape())) {
    reference::convolve(s, x.data(), w.data(), bias.data(), y.data());
    reference::convolve_backward_data<T>(s, dy.data(), w.data(), nullptr, dx.data());
    for (std::size_t i = 0; i < dx.size(); ++i)
      dx_and_bias.data()[i] =
          dx.data()[i] + bias_of_dx.data()[static_cast<Index>(i) / s.in_size() % s.in_channels];
    reference::convolve_backward_weights(s, x.data(), dy.data(), dw.data());
  }

  ConvolutionShape s;
  Tensor<T> x, w, dy, bias, bias_of_dx;
  Tensor<T> y, dx, dx_and_bias, dw;
};

// Runs what an algorithm can, and compares.
template <class T>
class Runs {
 public:
  Runs(const Convolution<T>& problem, Random& random) : p_(problem), s_(problem.s), random_(random) {}

  void run(const kernels::ConvolutionAlgorithm<T>& algorithm, std::map<std::string, int>& count) {
    SCOPED_TRACE(algorithm.name);
    rounds_ = algorithm.tile;
    const auto name = [&](const char* pass) { return std::string(algorithm.name) + ", " + pass; };
    const bool can_forward = algorithm.can_forward(s_);
    const kernels::ImageAbilities abilities =
        can_forward && algorithm.abilities ? algorithm.abilities(s_) : kernels::ImageAbilities();
    if (can_forward) {
      ++count[name("forward")];
      const auto packed = algorithm.filters ? algorithm.filters(s_, p_.w.data()) : p_.w;
      const T* const filters = memory(1).hold(packed, guard());
      forward(abilities, algorithm.rectifies, [&](const ConvolutionShape& s, auto x, const T* bias, auto y) {
        algorithm.forward(s, x, filters, bias, y);
      });
    }
    if (algorithm.can_backward_data(s_, ImageLayout::planes)) {
      ++count[name("backward data")];
      backward_data({}, [&](auto dy, const T* w, const T* bias, auto dx) {
        algorithm.backward_data(s_, dy, w, bias, dx);
      });
    }
    if (abilities.x_as_pixels && algorithm.can_backward_data(s_, ImageLayout::pixels)) {
      ++count[name("backward data of pixels")];
      backward_data(abilities, [&](auto dy, const T* w, const T* bias, auto dx) {
        algorithm.backward_data(s_, dy, w, bias, dx);
      });
    }
    if (algorithm.can_backward_weights(s_)) {
      ++count[name("backward weights")];
      backward_weights(abilities, [&](auto x, auto dy, T* dw) { algorithm.backward_weights(s_, x, dy, dw); });
      if (algorithm.backward) {
        ++count[name("backward")];
        backward(abilities, [&](auto x, auto dy, const T* w, T* dw, auto dx) {
          algorithm.backward(s_, x, dy, w, dw, dx);
        });
      }
    }
  }

  // The algorithms that are chosen, by the functions that layers call.
  void run_chosen() {
    SCOPED_TRACE("as chosen");
    rounds_ = true;
    const kernels::ImageAbilities abilities = kernels::image_abilities<T>(s_);
    const T* const weight = memory(1).hold(p_.w, guard());
    forward(abilities, /*rectifies=*/true, [&](const ConvolutionShape& s, auto x, const T* bias, auto y) {
      kernels::convolve<T>(s, x, weight, bias, y);
    });
    backward_data(abilities, [&](auto dy, const T* w, const T* bias, auto dx) {
      kernels::convolve_backward_data<T>(s_, dy, w, bias, dx);
    });
    backward_weights(abilities,
                     [&](auto x, auto dy, T* dw) { kernels::convolve_backward_weights<T>(s_, x, dy, dw); });
    backward(abilities, [&](auto x, auto dy, const T* w, T* dw, auto dx) {
      kernels::convolve_backward<T>(s_, x, dy, w, dw, dx);
    });
  }

 private:
  using Source = kernels::ImageSource<T>;
  using Sink = kernels::ImageSink<T>;

  template <class Forward>
  void forward(const kernels::ImageAbilities& abilities, bool rectifies, const Forward& run) {
    ConvolutionShape s = s_;
    s.rectify = rectifies && coin();
    const bool with_bias = coin();
    const auto [x_layout, y_layout] = layouts(abilities);
    const T* const x = memory(0).hold(in_layout(p_.x, x_layout), guard());
    const T* const bias = with_bias ? memory(2).hold(p_.bias, guard()) : nullptr;
    const bool add = y_layout == ImageLayout::pixels && abilities.addend && coin(), in_place = coin();
    const auto addend = in_layout(p_.dy, y_layout);
    T* const y = add && in_place ? memory(3).hold(addend, guard()) : memory(3).room_for(p_.y, guard());
    run(s, Source(x, x_layout), bias,
        Sink(y, y_layout, nullptr,
             !add       ? nullptr
             : in_place ? y
                        : memory(4).hold(addend, guard())));
    Tensor<T> expected = p_.y;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      T& value = expected.data()[i];
      if (!with_bias) value -= p_.bias.data()[static_cast<Index>(i) / s_.out_size() % s_.out_channels];
      if (add) value += p_.dy.data()[i];
      if (s.rectify) value = std::max(value, T{0});
    }
    expect("y", y, y_layout, expected, s_.filter_size());
  }

  template <class BackwardData>
  void backward_data(const kernels::ImageAbilities& abilities, const BackwardData& run) {
    const auto [dx_layout, dy_layout] = layouts(abilities);
    const T* const dy = memory(0).hold(in_layout(p_.dy, dy_layout), guard());
    const T* const w = memory(1).hold(p_.w, guard());
    const bool with_bias = coin() && dx_layout == ImageLayout::planes;  // dx of pixels takes none
    const T* const bias = with_bias ? memory(2).hold(p_.bias_of_dx, guard()) : nullptr;
    T* const dx = memory(3).room_for(p_.dx, guard());
    run(Source(dy, dy_layout), w, bias, Sink(dx, dx_layout));
    expect("dx", dx, dx_layout, bias ? p_.dx_and_bias : p_.dx,
           s_.filter_size() * s_.out_channels / s_.in_channels);
  }

  template <class BackwardWeights>
  void backward_weights(const kernels::ImageAbilities& abilities, const BackwardWeights& run) {
    const auto [x_layout, dy_layout] = layouts(abilities);
    const T* const x = memory(0).hold(in_layout(p_.x, x_layout), guard());
    const T* const dy = memory(1).hold(in_layout(p_.dy, dy_layout), guard());
    T* const dw = memory(2).room_for(p_.w, guard());
    run(Source(x, x_layout), Source(dy, dy_layout), dw);
    expect("dw", dw, ImageLayout::planes, p_.dw, s_.batch * s_.out_size());
  }

  // dx takes the place of x.
  template <class Backward>
  void backward(const kernels::ImageAbilities& abilities, const Backward& run) {
    const auto [x_layout, dy_layout] = layouts(abilities);
    T* const x = memory(0).hold(in_layout(p_.x, x_layout), guard());
    const T* const dy = memory(1).hold(in_layout(p_.dy, dy_layout), guard());
    const T* const w = memory(2).hold(p_.w, guard());
    T* const dw = memory(3).room_for(p_.w, guard());
    run(Source(x, x_layout), Source(dy, dy_layout), w, dw, Sink(x, x_layout));
    expect("dx of both", x, x_layout, p_.dx, s_.filter_size() * s_.out_channels / s_.in_channels);
    expect("dw of both", dw, ImageLayout::planes, p_.dw, s_.batch * s_.out_size());
  }

  void expect(const char* what, const T* got, ImageLayout layout, const Tensor<T>& expected, Index terms) {
    auto values = empty<T>(expected.shape());
    std::copy_n(got, values.size(), values.data());
    values = as_planes(values, layout);
    if (!rounds_) {
      EXPECT_EQ(values, expected) << what;
      return;
    }
    constexpr double kSquare = 16;  // of a term, on the average
    EXPECT_LE(max_error(values, widen(expected), std::sqrt(kSquare * static_cast<double>(terms))), 2e-5)
        << what;
  }

  ImageLayouts layouts(const kernels::ImageAbilities& abilities) {
    const auto pick = [&](bool pixels) {
      return pixels && random_.below(4) != 0 ? ImageLayout::pixels : ImageLayout::planes;
    };
    return {pick(abilities.x_as_pixels), pick(abilities.y_as_pixels)};
  }
  bool coin() { return random_.below(2) == 0; }
  Guard guard() { return random_.below(4) == 0 ? Guard::before : Guard::behind; }

  // For operands; the largest is x of a transposed convolution.
  static const GuardedMemory& memory(std::size_t operand) {
    constexpr std::size_t kLargest = std::size_t{3 * 40 * 64 * 64} * sizeof(T);
    static const GuardedMemory all[5]{GuardedMemory(kLargest), GuardedMemory(kLargest),
                                      GuardedMemory(kLargest), GuardedMemory(kLargest),
                                      GuardedMemory(kLargest)};
    return all[operand];
  }

  const Convolution<T>& p_;
  const ConvolutionShape& s_;
  Random& random_;
  bool rounds_ = false;  // more is done than to add up products
};

template <class T>
void expect_all_can(std::uint64_t cases,
                    const std::vector<const kernels::ConvolutionAlgorithm<T>*>& algorithms,
                    std::map<std::string, int>& count) {
  for_random_seeds(cases, [&](Random& random) {
    std::optional<ConvolutionShape> shape;
    while (!shape) shape = pick_shape(random);
    SCOPED_TRACE(describe(*shape));
    const Convolution<T> problem(*shape, random);
    for_each_instruction_set([&] {
      Runs<T> runs(problem, random);
      for (const auto* algorithm : algorithms) runs.run(*algorithm, count);
      runs.run_chosen();
    });
  });
}

TEST(ConvolutionAlgorithms, CanWhatTheySayOnEveryInstructionSet) {
  std::map<std::string, int> count;
  expect_all_can<float>(some(kCases),
                        {&kernels::kWinograd, &kernels::kPointwise, &kernels::kDirect, &kernels::kDepthwise,
                         &kernels::kGrouped, &kernels::kGemm},
                        count);
  for (const char* algorithm : {"winograd", "pointwise", "direct", "depthwise", "grouped", "gemm"})
    for (const char* pass : {"forward", "backward data", "backward weights"})
      EXPECT_GE(count[std::string(algorithm) + ", " + pass], some(8)) << algorithm << ", " << pass;
  for (const char* rare :
       {"winograd, backward", "winograd, backward data of pixels", "direct, backward data of pixels"})
    EXPECT_GE(count[rare], some(8)) << rare;
}

TEST(ConvolutionAlgorithms, CanWhatTheySayInDouble) {
  std::map<std::string, int> count;
  expect_all_can<double>(some(kCases / 5), {&kernels::kGemmOfDoubles}, count);
}

}  // namespace
}  // namespace strata
