// Names, parameters and ranges of the chemistries.

#include "server/engine/kinetics.h"

#include <string>

namespace mfn::engine {
namespace {

constexpr double kMaxDiffusion = 1000.0;

// What differs from one kinetics to the next, apart from the equations.
struct Describe {
  std::vector<Parameter> operator()(Mfn&) const { return {}; }

  std::vector<Parameter> operator()(GrayScott& m) const {
    return {{"d_activator", &m.d_activator, 0.0, kMaxDiffusion},
            {"d_inhibitor", &m.d_inhibitor, 0.0, kMaxDiffusion},
            {"feed", &m.feed, 0.0, 1.0},
            {"kill", &m.kill, 0.0, 1.0}};
  }
  std::vector<Parameter> operator()(Schnakenberg& m) const {
    return {{"d_activator", &m.d_activator, 0.0, kMaxDiffusion},
            {"d_inhibitor", &m.d_inhibitor, 0.0, kMaxDiffusion},
            {"gamma", &m.gamma, 0.0, 1000.0},
            {"a", &m.a, 0.0, 10.0},
            {"b", &m.b, 0.001, 10.0}};
  }
  std::vector<Parameter> operator()(GiererMeinhardt& m) const {
    return {{"d_activator", &m.d_activator, 0.0, kMaxDiffusion},
            {"d_inhibitor", &m.d_inhibitor, 0.0, kMaxDiffusion},
            {"a", &m.a, 0.0, 10.0},
            {"b", &m.b, 0.001, 10.0},
            {"c", &m.c, 0.001, 10.0},
            {"saturation", &m.saturation, 0.0, 10.0}};
  }
  std::vector<Parameter> operator()(FitzHughNagumo& m) const {
    return {{"d_activator", &m.d_activator, 0.0, kMaxDiffusion},
            {"d_inhibitor", &m.d_inhibitor, 0.0, kMaxDiffusion},
            {"epsilon", &m.epsilon, 0.001, 100.0},
            {"a1", &m.a1, 0.0, 10.0},
            {"a0", &m.a0, -10.0, 10.0}};
  }
  std::vector<Parameter> operator()(Brusselator& m) const {
    return {{"d_activator", &m.d_activator, 0.0, kMaxDiffusion},
            {"d_inhibitor", &m.d_inhibitor, 0.0, kMaxDiffusion},
            {"a", &m.a, 0.001, 100.0},
            {"b", &m.b, 0.0, 100.0}};
  }
};

struct Habits {
  std::string_view name;
  double threshold;
  double time_step;
};

// In the order of the variant.
constexpr Habits kHabits[] = {
    {"mfn", 0.75, 1.0},
    {"gray_scott", 0.25, 1.0},
    {"schnakenberg", 1.5, 0.01},
    {"gierer_meinhardt", 2.0, 0.01},
    {"fitzhugh_nagumo", 0.5, 0.01},
    {"brusselator", 6.0, 0.007},
};
static_assert(std::size(kHabits) == std::variant_size_v<Kinetics>);

}  // namespace

std::string_view KineticsName(const Kinetics& kinetics) { return kHabits[kinetics.index()].name; }

std::vector<Parameter> ParametersOf(Kinetics* kinetics) {
  return std::visit(Describe{}, *kinetics);
}

double DefaultThreshold(const Kinetics& kinetics) { return kHabits[kinetics.index()].threshold; }

double DefaultTimeStep(const Kinetics& kinetics) { return kHabits[kinetics.index()].time_step; }

Expected<void> ValidateKinetics(const Kinetics& kinetics) {
  Kinetics copy = kinetics;
  for (const Parameter& parameter : ParametersOf(&copy)) {
    if (parameter.min <= *parameter.value && *parameter.value <= parameter.max) continue;
    std::string field = "kinetics.";
    field.append(KineticsName(kinetics)).append(".").append(parameter.name);
    return OutOfRange(std::move(field), *parameter.value, parameter.min, parameter.max);
  }
  return {};
}

}  // namespace mfn::engine
