#include "strata/framework/data/synthetic.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "strata/framework/error.hpp"
#include "strata/framework/random.hpp"
#include "strata/framework/runtime/parallel.hpp"

namespace strata {
namespace {

constexpr int kSide = 32;
constexpr int kUnit = 256;  // the radius of a shape, in its own coordinates

constexpr int square(int x) {
  return x * x;
}

constexpr bool circle(int u, int v) {
  return u * u + v * v <= square(kUnit);
}
constexpr bool box(int u, int v) {
  return std::max(std::abs(u), std::abs(v)) <= 215;
}
constexpr bool triangle(int u, int v) {  // equilateral; 1.732 = sqrt(3)
  return v >= -140 && 1732 * std::abs(u) + 1000 * v <= 280 * 1000;
}
constexpr bool cross(int u, int v) {
  return std::min(std::abs(u), std::abs(v)) <= 75 && std::max(std::abs(u), std::abs(v)) <= kUnit;
}
constexpr bool ring(int u, int v) {
  return circle(u, v) && u * u + v * v >= square(145);
}
constexpr bool stripes(int u, int v) {
  return std::max(std::abs(u), std::abs(v)) <= 240 && (v + 240) / 96 % 2 == 0;
}
constexpr bool checkers(int u, int v) {
  return std::max(std::abs(u), std::abs(v)) <= 240 && ((u + 240) / 160 + (v + 240) / 160) % 2 == 0;
}
constexpr bool bar(int u, int v) {
  return std::abs(u) <= kUnit && std::abs(v) <= 80;
}
constexpr bool crescent(int u, int v) {
  return circle(u, v) && square(u - 110) + v * v >= square(200);
}
constexpr bool frame(int u, int v) {
  return box(u, v) && std::max(std::abs(u), std::abs(v)) >= 125;
}

struct ShapeClass {
  const char* name;
  bool (*covers)(int u, int v);
};
constexpr std::array<ShapeClass, 10> kClasses{{{"circle", circle},
                                               {"square", box},
                                               {"triangle", triangle},
                                               {"cross", cross},
                                               {"ring", ring},
                                               {"stripes", stripes},
                                               {"checkers", checkers},
                                               {"bar", bar},
                                               {"crescent", crescent},
                                               {"frame", frame}}};

int between(Random& random, int low, int high) {
  return low + static_cast<int>(random.below(static_cast<std::uint64_t>(high - low + 1)));
}

using Color = std::array<int, 3>;

/// A color that varies over the image: bilinear between random values on a lattice of `cell` pixels.
class Texture {
 public:
  Texture(Random& random, Color color) : color_(color), cell_(between(random, 3, 9)) {
    for (int& channel : tint_) channel = between(random, 40, 100);
    for (int& value : lattice_) value = between(random, -kDepth, kDepth);
  }

  int at(int x, int y, std::size_t channel) const {
    const int column = x / cell_, row = y / cell_, right = x % cell_, down = y % cell_;
    const int* corner = &lattice_[row * kLattice + column];
    const int top = corner[0] * (cell_ - right) + corner[1] * right;
    const int bottom = corner[kLattice] * (cell_ - right) + corner[kLattice + 1] * right;
    const int value = (top * (cell_ - down) + bottom * down) / (cell_ * cell_);
    return color_[channel] + value * tint_[channel] / 100;
  }

 private:
  static constexpr int kDepth = 45;
  static constexpr int kLattice = kSide / 3 + 2;

  Color color_;
  Color tint_{};  // percent of the variation that reaches each channel
  int cell_;
  std::array<int, kLattice * kLattice> lattice_{};
};

// Two colors of which one is clearly brighter; which one is chance.
std::array<Color, 2> draw_colors(Random& random) {
  std::array<Color, 2> colors;
  int contrast;
  do {
    contrast = 0;
    for (std::size_t channel = 0; channel < 3; ++channel) {
      for (Color& color : colors) color[channel] = between(random, 30, 225);
      contrast += colors[0][channel] - colors[1][channel];
    }
  } while (std::abs(contrast) < 3 * 60);
  return colors;
}

void draw(Random random, const ShapeClass& shape, std::span<std::uint8_t> pixels) {
  // Lengths in 1/16 pixel.
  const int center_x = between(random, 11 * 16, 21 * 16), center_y = between(random, 11 * 16, 21 * 16);
  const int radius = between(random, 7 * 16, 11 * 16);
  // The angle 2 atan(t / 64): its cosine and sine are rational.
  const int t = between(random, -64, 64);
  const int cosine = (64 * 64 - t * t) * 4096 / (64 * 64 + t * t);
  const int sine = 2 * 64 * t * 4096 / (64 * 64 + t * t);
  const auto colors = draw_colors(random);
  const Texture outside(random, colors[0]), inside(random, colors[1]);

  for (int y = 0; y < kSide; ++y)
    for (int x = 0; x < kSide; ++x) {
      int covered = 0;  // of the pixel's four quarters
      for (const int dy : {4, 12})
        for (const int dx : {4, 12}) {
          const int right = 16 * x + dx - center_x, down = 16 * y + dy - center_y;
          const int u = (cosine * right + sine * down) / 4096 * kUnit / radius;
          const int v = (cosine * down - sine * right) / 4096 * kUnit / radius;
          covered += shape.covers(u, v);
        }
      for (std::size_t channel = 0; channel < 3; ++channel) {
        const int noise = between(random, -20, 20);
        const int value =
            (covered * inside.at(x, y, channel) + (4 - covered) * outside.at(x, y, channel)) / 4 + noise;
        pixels[(channel * kSide + y) * kSide + x] = static_cast<std::uint8_t>(std::clamp(value, 0, 255));
      }
    }
}

}  // namespace

std::shared_ptr<const ImageDataset> synthetic(Index count, std::uint64_t seed) {
  if (count < 1) throw ArgumentError("synthetic: at least one image is needed, got " + std::to_string(count));
  constexpr std::size_t kPixels = 3 * kSide * kSide;
  if (!(detail::Checked(count) * kPixels).fits())
    throw ArgumentError("synthetic: expected fewer than 2^63 bytes of images, got " + std::to_string(count) +
                        " images");
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count) * kPixels);
  Labels labels(static_cast<std::size_t>(count));
  const std::uint64_t key = combine_seeds(seed, "synthetic");
  parallel_ranges(count, 16, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      labels[i] = static_cast<std::int32_t>(i % static_cast<Index>(kClasses.size()));
      draw(Random(key, static_cast<std::uint64_t>(i)), kClasses[labels[i]],
           std::span(pixels).subspan(i * kPixels, kPixels));
    }
  });
  std::vector<std::string> names;
  for (const ShapeClass& shape : kClasses) names.push_back(shape.name);
  return std::make_shared<ImageDataset>(std::move(pixels), Shape{3, kSide, kSide}, std::move(labels),
                                        std::move(names));
}

}  // namespace strata
