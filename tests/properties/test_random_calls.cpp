// Random sequences of public calls, in any order, on random networks. Each network has a twin; the one may
// fuse layers, the other may not, and whatever they are told, they give the same or throw the same.
#include <future>

#include "tests/framework/temporary_folder.hpp"
#include "tests/properties/random_networks.hpp"
#include "tests/properties/random_runs.hpp"
#include "tests/properties/subject.hpp"
#include "tests/properties/twins.hpp"

namespace strata {
namespace {

using namespace strata::testing;

constexpr std::uint64_t kCallsOfASequence = 100;
constexpr std::size_t kNetworks = 3;

Tensor<double> copy_of(const Tensor<double>& x) {
  return x;
}

template <class Net>
class Sequence {
 public:
  explicit Sequence(std::uint64_t seed) : random_(seed) {
    for (std::size_t i = 0; i < kNetworks; ++i) networks_.push_back(fresh());
  }

  void call_one() {
    Twins<Net>& twins = networks_[random_.below(kNetworks)];
    const auto what = random_.below(24);
    trace_.push_back(what);
    switch (what) {
      case 0:
        twins = fresh();
        return;
      case 1:
        return copy(twins);
      case 2:
        return move(twins);
      case 3:
        return assign(twins);
      case 4:
        return change_layer(twins);
      case 5:
        return replace(twins);
      case 6:
        return grow(twins);
      case 7:
        return take_out(twins);
      case 8:
        return set_mode(twins);
      case 9:
        return damage(twins);
      case 10:
      case 11:
        return repair(twins);
      case 12:
        return run_by_hand(twins);
      case 13:
        return save_and_load(twins);
      case 14:
        return make_model(twins);
      case 15:
        return use_model(twins);
      case 16:
        return initialize(twins);
      case 17:
        return step(twins);
      case 18:
        return infer(twins);
      case 19:
      case 20:
        return forward(twins);
      case 21:
      case 22:
        return backward(twins, /*compare_values=*/!twins.other_values);
      default:
        return compare(twins);
    }
  }

  const std::vector<std::uint64_t>& trace() const { return trace_; }

 private:
  Twins<Net> fresh() {
    const Shape input = random_shape(random_);
    Net net = random_network<Net>(random_, input);
    return {input, {net}, {std::move(net)}};
  }

  static Shape random_shape(Random& random) {
    return {static_cast<std::size_t>(pick(random, 1, 3)), static_cast<std::size_t>(pick(random, 1, 4)),
            static_cast<std::size_t>(pick(random, 3, 6)), static_cast<std::size_t>(pick(random, 3, 6))};
  }

  // The same call of both; one that gives values, and one that gives none.
  template <class Call>
  void both(Twins<Net>& twins, const Call& call) {
    testing::both(twins, random_, call);
  }
  template <class Call>
  void both_do(Twins<Net>& twins, const Call& call) {
    both(twins, [&](Side<Net>& side) {
      call(side);
      return std::vector<Tensor<double>>();
    });
  }

  Tensor<double> values(const Shape& shape) { return random_.normal<double>(shape, 0.3, 1); }
  // What the network takes, mostly.
  Tensor<double> input_of(const Twins<Net>& twins) {
    Shape shape = twins.input;
    if (random_.below(4) == 0) shape[0] = 1 + random_.below(4);
    if (random_.below(20) == 0) shape[random_.below(4)] += 1;
    return values(shape);
  }
  // The path of one of its layers, at any depth.
  std::string some_layer(Layer<double>& net) {
    const auto children = net.children();
    if (children.empty()) return "";
    const auto& child = children[random_.below(children.size())];
    const std::string inner = coin(random_) ? some_layer(*child.layer) : "";
    return inner.empty() ? child.name : child.name + "." + inner;
  }

  void copy(Twins<Net>& twins) {
    Twins<Net>& from = networks_[random_.below(kNetworks)];
    const auto how = random_.below(5);
    const auto copied = [&](Net& net) -> Net {
      if (how == 0) return *std::make_unique<Net>(net);
      if (how == 1) return std::any_cast<Net>(std::any(net));
      if (how == 2)
        return std::async(
                   std::launch::deferred, [](Net n) { return n; }, net)
            .get();
      if (how == 3) return dynamic_cast<Net&>(*net.clone());
      return net;
    };
    Twins<Net> made{from.input, {copied(from.fused.net)}, {copied(from.plain.net)}};
    twins = std::move(made);
  }
  void move(Twins<Net>& twins) {
    Twins<Net>& from = networks_[random_.below(kNetworks)];
    Twins<Net> made{from.input, {std::move(from.fused.net)}, {std::move(from.plain.net)}};
    if (coin(random_)) {
      forward(from);  // of what was moved from
      infer(from);
    }
    from = coin(random_) ? Twins<Net>{made.input, {made.fused.net}, {made.plain.net}} : fresh();
    twins = std::move(made);
  }
  void assign(Twins<Net>& twins) {
    Twins<Net>& from = networks_[random_.below(kNetworks)];
    twins.input = from.input;
    const bool moves = coin(random_) && &from != &twins;
    twins.fused.net = moves ? Net(std::move(from.fused.net)) : from.fused.net;
    twins.plain.net = moves ? Net(std::move(from.plain.net)) : from.plain.net;
    if (moves) from = fresh();
  }

  // Assigns to a layer of a class that has parameters, where it stands; perhaps of other sizes.
  void change_layer(Twins<Net>& twins) {
    const std::string path = some_layer(twins.fused.net);
    if (path.empty()) return;
    both_do(twins, [&](Side<Net>& side) { assign_to(side.net.find(path)); });
  }
  void assign_to(Layer<double>& layer) {
    const Index more = random_.below(3) == 0;
    const auto randomized = [&](auto made) {
      made.initialize(random_.bits());
      for (Parameter<double>* p : made.parameters()) p->value += values(p->shape()) * 0.2;
      return made;
    };
    if (auto* const conv = dynamic_cast<Conv2D<double>*>(&layer)) {
      const Shape of = conv->weight().shape();
      *conv = randomized(Conv2D<double>{static_cast<Index>(of[1]) + more,
                                        static_cast<Index>(of[0]),
                                        static_cast<Index>(of[2]),
                                        {.padding = static_cast<Index>(of[2]) / 2}});
    } else if (auto* const linear = dynamic_cast<Linear<double>*>(&layer)) {
      const Shape of = linear->weight().shape();
      *linear = randomized(Linear<double>{static_cast<Index>(of[1]), static_cast<Index>(of[0]) + more});
    } else if (auto* const norm = dynamic_cast<SpatialBatchNorm<double>*>(&layer)) {
      *norm = randomized(SpatialBatchNorm<double>{1 + static_cast<Index>(random_.below(4)),
                                                  {.eps = 0.1, .track_running_stats = coin(random_)}});
    } else if (auto* const dropout = dynamic_cast<Dropout<double>*>(&layer);
               dropout && layer.type() == "Dropout") {
      *dropout = randomized(Dropout<double>{0.5});
    }
  }

  void replace(Twins<Net>& twins) {
    const auto names = layer_names(twins.fused.net);
    if (names.empty()) return;
    const std::string name = names[random_.below(names.size())];
    Shape shape = twins.input;
    if (coin(random_))
      for (const auto& step : steps_of(twins.fused.net, twins.input))
        if (step.name == name) shape = step.input;
    if (shape.size() != 4 && shape.size() != 2) return;
    const auto layer = random_layer(random_, shape);
    both_do(twins, [&](Side<Net>& side) { side.net.replace(name, layer->clone()); });
  }
  static std::vector<Layer<double>::Step> steps_of(const Net& net, const Shape& input) {
    try {
      return net.steps(input);
    } catch (const Error&) {
      return {};
    }
  }

  void grow(Twins<Net>& twins) {
    if constexpr (std::is_same_v<Net, Sequential<double>>) {
      Shape shape;
      try {
        shape = twins.fused.net.output_shape(twins.input);
      } catch (const Error&) {
        return;
      }
      if (twins.fused.net.size() > 12) return;
      const auto layer = random_layer(random_, shape);
      const std::string name = coin(random_) ? "more" : std::to_string(twins.fused.net.size());
      both_do(twins, [&](Side<Net>& side) { side.net.add(name, layer->clone()); });
    } else if (random_.below(8) == 0) {
      const std::string from = coin(random_) ? "x" : "nobody";
      both_do(twins, [&](Side<Net>& side) { side.net.add("more", ReLU<double>{}, from).output("more"); });
    }
  }

  // Moves a layer out of its network, and perhaps back.
  void take_out(Twins<Net>& twins) {
    const std::string path = some_layer(twins.fused.net);
    if (path.empty()) return;
    const bool back = random_.below(4) != 0;
    both(twins, [&](Side<Net>& side) -> std::vector<Tensor<double>> {
      Layer<double>& layer = side.net.find(path);
      std::vector<Tensor<double>> seen;
      const auto take = [&](auto* place) {
        if (!place) return;
        auto taken = std::move(*place);
        const auto x = Tensor<double>(full<double>({2, 3, 4, 4}, 1));
        EXPECT_THROW(side.net.find(path).infer(x), Error);
        if (back) *place = std::move(taken);
      };
      take(dynamic_cast<Conv2D<double>*>(&layer));
      take(dynamic_cast<SpatialBatchNorm<double>*>(&layer));
      take(dynamic_cast<Linear<double>*>(&layer));
      take(dynamic_cast<Sequential<double>*>(&layer));
      take(dynamic_cast<Graph<double>*>(&layer));
      return seen;
    });
  }

  void set_mode(Twins<Net>& twins) {
    const std::string path = coin(random_) ? some_layer(twins.fused.net) : "";
    const bool on = random_.below(3) != 0;
    both_do(twins, [&](Side<Net>& side) {
      (path.empty() ? static_cast<Layer<double>&>(side.net) : side.net.find(path)).train(on);
    });
  }

  void damage(Twins<Net>& twins) {
    if (coin(random_)) return;
    const auto what = random_.below(4), which = random_.below(100);
    both_do(twins, [&](Side<Net>& side) {
      const auto parameters = side.net.parameters();
      if (parameters.empty()) return;
      Parameter<double>& p = *parameters[which % parameters.size()];
      if (what == 0) p.value = full<double>({3, 1}, 1);
      if (what == 1) const Tensor<double> taken = std::move(p.value);
      if (what == 2) p.gradient.resize({2, 2});
      if (what == 3) p.gradient = Tensor<double>();
    });
  }
  void repair(Twins<Net>& twins) {
    both_do(twins, [&](Side<Net>& side) {
      for (Parameter<double>* p : side.net.parameters()) {
        if (p->misfit().empty()) continue;
        twins.other_values = true;
        p->value = values(p->shape());
        p->gradient = zeros<double>(p->shape());
      }
    });
  }

  void run_by_hand(Twins<Net>& twins) {
    const auto steps = steps_of(twins.fused.net, twins.input);
    if (steps.empty()) return;
    const auto& step = steps[random_.below(steps.size())];
    if (!step.layer) return;
    const std::string name = step.name;
    const auto x = values(step.input), dy = values(step.output);
    const bool back = coin(random_);
    both(twins, [&](Side<Net>& side) -> std::vector<Tensor<double>> {
      std::vector<Tensor<double>> seen;
      Layer<double>& layer = side.net.find(name);
      seen.push_back(layer.forward(copy_of(x)));
      if (back) seen.push_back(layer.backward(copy_of(dy)));
      return seen;
    });
  }

  void save_and_load(Twins<Net>& twins) {
    if (random_.below(4) != 0) return;
    const std::string file = folder_ / "weights";
    const bool own = coin(random_);
    Twins<Net>& other = networks_[random_.below(kNetworks)];
    both_do(own ? twins : other, [&](Side<Net>& side) { save_weights(side.net, file); });
    twins.other_values = true;
    if (std::filesystem::exists(file)) both_do(twins, [&](Side<Net>& side) { load_weights(side.net, file); });
    std::filesystem::remove(file);
  }

  void make_model(Twins<Net>& twins) {
    both_do(twins, [](Side<Net>& side) {
      side.model.reset();
      side.model.emplace(side.net);
    });
  }
  void use_model(Twins<Net>& twins) {
    const auto x = input_of(twins);
    both(twins, [&](Side<Net>& side) {
      return side.model ? one((*side.model)(copy_of(x))) : std::vector<Tensor<double>>();
    });
  }

  void initialize(Twins<Net>& twins) {
    if (random_.below(4) != 0) return;
    twins.other_values = true;
    const auto seed = random_.bits();
    both_do(twins, [&](Side<Net>& side) {
      side.net.initialize(seed);
      for (Parameter<double>* p : side.net.parameters()) p->value += values(p->value.shape()) * 0.2;
    });
  }

  void step(Twins<Net>& twins) {
    const bool another = random_.below(4) == 0;
    twins.other_values = true;
    both_do(twins, [&](Side<Net>& side) {
      if (another) side.optimizer = SGD<double>{{.learning_rate = 0.01, .momentum = 0.5}};
      const auto parameters = side.net.parameters();
      if (gradient_norm(parameters) < 1e3) side.optimizer.step(parameters);
    });
    compare(twins);
  }

  void infer(Twins<Net>& twins) {
    const auto x = input_of(twins);
    both(twins, [&](Side<Net>& side) { return one(side.net.infer(copy_of(x))); });
  }
  void forward(Twins<Net>& twins) {
    const auto x = input_of(twins);
    const auto record = random_.below(kRecords + 1);
    if (twins.other_values)
      for (Side<Net>* side : {&twins.fused, &twins.plain}) forget(*side);
    twins.other_values = false;
    both(twins, [&](Side<Net>& side) {
      return one(record < kRecords ? side.net.forward(copy_of(x), side.records[record])
                                   : side.net.forward(copy_of(x)));
    });
  }
  // What earlier forwards left. A layer's own record is let go by its next forward, also if that fails.
  static void forget(Side<Net>& side) {
    side.records = {};
    try {
      side.net.forward(Tensor<double>());
    } catch (const Error&) {
    }
  }
  void backward(Twins<Net>& twins, bool compare_values) {
    Shape shape = twins.input;
    const auto record = random_.below(kRecords + 1);
    if (record < kRecords)
      shape = twins.fused.records[record].output_shape();
    else if (const auto steps = steps_of(twins.fused.net, twins.input); !steps.empty())
      shape = steps.back().output;
    const auto dy = values(shape);
    const bool parameters_only = coin(random_);
    both(twins, [&](Side<Net>& side) {
      std::vector<Tensor<double>> seen;
      if (parameters_only)
        record < kRecords ? side.net.backward_parameters(copy_of(dy), side.records[record])
                          : side.net.backward_parameters(copy_of(dy));
      else
        seen.push_back(record < kRecords ? side.net.backward(copy_of(dy), side.records[record])
                                         : side.net.backward(copy_of(dy)));
      for (Parameter<double>* p : side.net.parameters()) seen.push_back(p->gradient);
      if (!compare_values) seen.clear();
      return seen;
    });
    if (!compare_values) take_over(twins);
  }

  // All that they hold.
  void compare(Twins<Net>& twins) {
    both(twins, [](Side<Net>& side) {
      std::vector<Tensor<double>> seen;
      for (Parameter<double>* p : side.net.parameters())
        if (p->misfit().empty()) seen.push_back(p->value);
      for (const Buffer<double>& buffer : side.net.named_buffers())
        if (auto* const tensor = std::get_if<Tensor<double>*>(&buffer.value))
          seen.push_back(**tensor);
        else
          seen.push_back(full<double>({}, static_cast<double>(*std::get<std::int64_t*>(buffer.value))));
      return seen;
    });
    take_over(twins);
  }

  static std::vector<Tensor<double>> one(Tensor<double> x) {
    std::vector<Tensor<double>> list;
    list.push_back(std::move(x));
    return list;
  }

  Random random_;
  std::vector<Twins<Net>> networks_;
  std::vector<std::uint64_t> trace_;
  TemporaryFolder folder_;
};

template <class Net>
void run() {
  const bool before = fusion();
  for_random_seeds(some(100u), [](Random& random) {
    Sequence<Net> sequence(random.bits());
    for (std::uint64_t i = 0; i < kCallsOfASequence && !::testing::Test::HasFailure(); ++i)
      sequence.call_one();
    if (!::testing::Test::HasFailure()) return;
    std::string trace;
    for (const auto call : sequence.trace()) trace += " " + std::to_string(call);
    ADD_FAILURE() << "after the calls" << trace;
  });
  set_fusion(before);
}

// STRATA_PROPERTY_CASES=N runs 100 N calls of each.
TEST(RandomCalls, OfSequentials) {
  run<Sequential<double>>();
}
TEST(RandomCalls, OfGraphs) {
  run<Graph<double>>();
}

}  // namespace
}  // namespace strata
