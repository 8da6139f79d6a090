// Named configurations in which a known pattern forms.

#ifndef MFN_SERVER_ENGINE_PRESETS_H_
#define MFN_SERVER_ENGINE_PRESETS_H_

#include <string_view>
#include <vector>

#include "server/engine/config.h"

namespace mfn::engine {

struct Preset {
  std::string_view name;
  std::string_view pattern;  // what is there after the steps
  // The default configuration with another kinetics, and with a grid size and steps that let its
  // pattern form.
  SimulationConfig config;
};

// In a fixed order.
const std::vector<Preset>& Presets();

// Null if there is none of that name.
const Preset* FindPreset(std::string_view name);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_PRESETS_H_
