// The table of presets.
//
// Gray-Scott: one (F, k) for each class of Pearson's figure 3 (Science 261 (1993) 189), as R.
// Munafo lists them with corrections (mrob.com/pub/comp/xmorphia/pearson-classes.html); coral and
// mitosis are the pairs known under these names. Turing models: the sources are in kinetics.h.

#include "server/engine/presets.h"

namespace mfn::engine {
namespace {

Preset With(std::string_view name, const Kinetics& kinetics, int64_t steps,
            std::string_view pattern) {
  Preset preset{name, pattern, {}};
  preset.config.kinetics = kinetics;
  preset.config.turing_threshold = DefaultThreshold(kinetics);
  preset.config.time_step = DefaultTimeStep(kinetics);
  preset.config.grid_size = 128;
  preset.config.steps = steps;
  return preset;
}

Preset Pearson(std::string_view name, double feed, double kill, int64_t steps,
               std::string_view pattern) {
  return With(name, GrayScott{.feed = feed, .kill = kill}, steps, pattern);
}

// Its spots only just pass 0.5, the least threshold there is.
Preset MfnSpots() {
  Preset preset = With("mfn_spots", Mfn{}, 2000, "small spots and dashes, held by the clamp");
  preset.config.turing_threshold = 0.5;
  preset.config.d_activator = 0.01;
  preset.config.d_inhibitor = 0.22;
  preset.config.r_activator = 0.1;
  preset.config.r_inhibitor = 0.1;
  return preset;
}

Preset GiererMeinhardtStripes() {
  Preset preset =
      With("gierer_meinhardt_stripes", GiererMeinhardt{.saturation = 0.1}, 30000, "stripes");
  preset.config.turing_threshold = 1.3;  // saturation lowers them
  return preset;
}

}  // namespace

const std::vector<Preset>& Presets() {
  static const std::vector<Preset> presets = {
      MfnSpots(),
      Pearson("gray_scott_alpha", 0.010, 0.047, 10000,
              "broken rings that come and go, never at rest"),
      Pearson("gray_scott_beta", 0.026, 0.051, 10000, "waves and dark spots, never at rest"),
      Pearson("gray_scott_gamma", 0.022, 0.051, 10000,
              "stripes that break and join, never at rest"),
      Pearson("gray_scott_delta", 0.030, 0.055, 10000, "dark spots in a hexagonal array"),
      Pearson("gray_scott_epsilon", 0.018, 0.055, 10000,
              "spots that divide and die, never at rest"),
      Pearson("gray_scott_zeta", 0.026, 0.059, 10000, "crowded spots that divide and die"),
      Pearson("gray_scott_eta", 0.034, 0.063, 20000, "spots and a few short worms"),
      Pearson("gray_scott_theta", 0.030, 0.057, 10000, "stripes that fill the grid"),
      Pearson("gray_scott_iota", 0.046, 0.0594, 10000, "groups of dark spots that grow outwards"),
      Pearson("gray_scott_kappa", 0.050, 0.063, 20000, "a labyrinth of branching stripes"),
      Pearson("gray_scott_lambda", 0.034, 0.065, 20000,
              "spots that divide until they fill the grid"),
      Pearson("gray_scott_mu", 0.046, 0.065, 20000, "worms that grow at their ends"),
      Pearson("gray_scott_coral", 0.0545, 0.062, 10000, "branches that grow like coral"),
      Pearson("gray_scott_mitosis", 0.0367, 0.0649, 10000, "spots that divide"),
      With("schnakenberg_spots", Schnakenberg{}, 20000, "spots in a hexagonal array"),
      With("schnakenberg_stripes", Schnakenberg{.a = 0.0, .b = 1.6}, 20000, "stripes"),
      With("gierer_meinhardt_spots", GiererMeinhardt{}, 20000, "sharp spots"),
      GiererMeinhardtStripes(),
      With("fitzhugh_nagumo_stripes", FitzHughNagumo{}, 20000, "a labyrinth of stripes"),
      With("fitzhugh_nagumo_spots", FitzHughNagumo{.a0 = -0.1}, 20000, "spots"),
      With("brusselator_holes", Brusselator{.b = 6.9}, 20000, "dark spots in a hexagonal array"),
      With("brusselator_stripes", Brusselator{}, 20000, "stripes"),
  };
  return presets;
}

const Preset* FindPreset(std::string_view name) {
  for (const Preset& preset : Presets()) {
    if (preset.name == name) return &preset;
  }
  return nullptr;
}

}  // namespace mfn::engine
