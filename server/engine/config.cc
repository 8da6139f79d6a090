// The three validators and the limits of a server.

#include "server/engine/config.h"

#include <array>
#include <cmath>
#include <string>
#include <type_traits>
#include <variant>

#include "server/engine/stability.h"

namespace mfn::engine {
namespace {

constexpr double kDiffusionLimit = 0.25;  // the explicit five-point scheme diverges from here on

// "not (min <= value <= max)", so that NaN is outside.
bool Outside(double value, double min, double max) { return !(min <= value && value <= max); }

// Two tests, as in the reference: both let NaN through.
Expected<void> CheckDiffusion(const char* field, double value, double min) {
  if (value >= kDiffusionLimit) {
    Error error = OutOfRange(field, value, min, std::nullopt);
    error.kind = ErrorKind::kStability;
    error.max = kDiffusionLimit;
    error.message = std::string(field) + " is " + FormatDouble(value) +
                    ", must be below 0.25 for the scheme to be stable";
    return error;
  }
  if (value < min) {
    Error error = OutOfRange(field, value, min, kDiffusionLimit);
    error.message = std::string(field) + " is " + FormatDouble(value) + ", must be in [" +
                    FormatDouble(min) + ", 0.25)";
    return error;
  }
  return {};
}

Expected<void> CheckRange(ErrorKind kind, const char* field, double value, double min, double max) {
  if (!Outside(value, min, max)) return {};
  Error error = OutOfRange(field, value, min, max);
  error.kind = kind;
  return error;
}

// The range (min, max] of alpha in the two validators that use one.
Expected<void> CheckHalfOpenAlpha(double value, double min) {
  if (min < value && value <= kDiffusionLimit) return {};
  Error error = InvalidArgument("alpha", value, min, kDiffusionLimit);
  error.message =
      "alpha is " + FormatDouble(value) + ", must be in (" + FormatDouble(min) + ", 0.25]";
  return error;
}

// The first failure of a list of checks that were all made.
template <size_t kSize>
Expected<void> First(const std::array<Expected<void>, kSize>& checks) {
  for (const Expected<void>& check : checks) {
    if (!check.ok()) return check;
  }
  return {};
}

Expected<void> CheckOuter(const SimulationConfig& c) {
  constexpr ErrorKind kKind = ErrorKind::kInvalidArgument;
  if (c.grid_size < 2) {
    return InvalidArgument("grid_size", static_cast<double>(c.grid_size), 2.0, std::nullopt);
  }
  if (c.steps < 1) {
    return InvalidArgument("steps", static_cast<double>(c.steps), 1.0, std::nullopt);
  }
  if (auto alpha = CheckHalfOpenAlpha(c.alpha, 0.0); !alpha.ok()) return alpha;
  if (auto unit = First<2>({
          CheckRange(kKind, "spike_probability", c.spike_probability, 0.0, 1.0),
          std::holds_alternative<Mfn>(c.kinetics)
              ? CheckRange(kKind, "turing_threshold", c.turing_threshold, 0.0, 1.0)
              : Expected<void>(),
      });
      !unit.ok()) {
    return unit;
  }
  if (c.jitter_var < 0.0) {
    return InvalidArgument("jitter_var", c.jitter_var, 0.0, std::nullopt);
  }
  return {};
}

Expected<void> CheckFinite(const SimulationConfig& c) {
  const std::array<std::pair<const char*, double>, 8> numbers = {{
      {"alpha", c.alpha},
      {"spike_probability", c.spike_probability},
      {"turing_threshold", c.turing_threshold},
      {"jitter_var", c.jitter_var},
      {"d_activator", c.d_activator},
      {"d_inhibitor", c.d_inhibitor},
      {"r_activator", c.r_activator},
      {"r_inhibitor", c.r_inhibitor},
  }};
  for (const auto& [field, value] : numbers) {
    if (std::isfinite(value)) continue;
    Error error = InvalidArgument(
        field, std::string(field) + " is " + FormatDouble(value) + ", must be a finite number");
    error.value = value;
    return error;
  }
  return {};
}

Expected<void> CheckMfn(const SimulationConfig& c) {
  constexpr ErrorKind kKind = ErrorKind::kOutOfRange;
  return First<9>({
      CheckRange(kKind, "grid_size", static_cast<double>(c.grid_size), kMinGridSize, kMaxGridSize),
      CheckDiffusion("d_activator", c.d_activator, 0.01),
      CheckDiffusion("d_inhibitor", c.d_inhibitor, 0.01),
      CheckDiffusion("alpha", c.alpha, 0.05),
      CheckRange(kKind, "r_activator", c.r_activator, 0.001, 0.1),
      CheckRange(kKind, "r_inhibitor", c.r_inhibitor, 0.001, 0.1),
      CheckRange(kKind, "turing_threshold", c.turing_threshold, 0.5, 0.95),
      CheckRange(kKind, "spike_probability", c.spike_probability, 0.0, 1.0),
      CheckRange(kKind, "jitter_var", c.jitter_var, 0.0, 0.01),
  });
}

// No rule of the reference: what lies outside is refused, NaN too, save in alpha as ever.
Expected<void> CheckOpenKinetics(const SimulationConfig& c) {
  constexpr ErrorKind kKind = ErrorKind::kOutOfRange;
  constexpr double kMost = 1e6;
  return First<6>({
      CheckRange(kKind, "grid_size", static_cast<double>(c.grid_size), kMinGridSize, kMaxGridSize),
      CheckDiffusion("alpha", c.alpha, 0.05),
      CheckRange(kKind, "turing_threshold", c.turing_threshold, -kMost, kMost),
      CheckRange(kKind, "spike_probability", c.spike_probability, 0.0, 1.0),
      CheckRange(kKind, "jitter_var", c.jitter_var, 0.0, 0.01),
      ValidateKinetics(c.kinetics),
  });
}

Expected<void> CheckUnits(const SimulationConfig& c) {
  constexpr ErrorKind kKind = ErrorKind::kOutOfRange;
  return First<2>({CheckRange(kKind, "time_step", c.time_step, 1e-6, 1000.0),
                   CheckRange(kKind, "spacing", c.spacing, 1e-4, 1e4)});
}

// As the reference allows with Mfn; the first step finds it.
bool DiffusionIsNan(const SimulationConfig& c) {
  const Diffusion diffusion = DiffusionOf(c);
  return std::isnan(diffusion.activator + diffusion.inhibitor);
}

Error TooMuch(const char* field, double value, double max, std::string message) {
  Error error;
  error.kind = ErrorKind::kResourceExhausted;
  error.field = field;
  error.message = std::move(message);
  error.value = value;
  error.max = max;
  return error;
}

}  // namespace

std::string_view BoundaryName(Boundary boundary) {
  switch (boundary) {
    case Boundary::kPeriodic:
      return "periodic";
    case Boundary::kNeumann:
      return "neumann";
    case Boundary::kDirichlet:
      return "dirichlet";
  }
  return "unknown";
}

Expected<Boundary> ParseBoundary(std::string_view name) {
  for (Boundary boundary : {Boundary::kPeriodic, Boundary::kNeumann, Boundary::kDirichlet}) {
    if (name == BoundaryName(boundary)) return boundary;
  }
  return InvalidArgument("boundary", "boundary must be periodic, neumann or dirichlet");
}

Diffusion DiffusionOf(const SimulationConfig& config) {
  return std::visit(
      [&config](const auto& model) -> Diffusion {
        if constexpr (std::is_same_v<std::decay_t<decltype(model)>, Mfn>) {
          return {config.d_activator, config.d_inhibitor};
        } else {
          return {model.d_activator, model.d_inhibitor};
        }
      },
      config.kinetics);
}

Expected<void> ValidateEngine(const SimulationConfig& c) {
  if (c.steps < 0) {
    return InvalidArgument("steps", static_cast<double>(c.steps), 0.0, std::nullopt);
  }
  const bool mfn = std::holds_alternative<Mfn>(c.kinetics);
  if (auto valid = mfn ? CheckMfn(c) : CheckOpenKinetics(c); !valid.ok()) return valid;
  if (auto valid = CheckUnits(c); !valid.ok()) return valid;
  return DiffusionIsNan(c) ? Expected<void>() : CheckTimeStep(c);
}

Expected<void> ValidateRun(const SimulationConfig& config) {
  if (auto outer = CheckOuter(config); !outer.ok()) return outer;
  return ValidateEngine(config);
}

Expected<void> ValidateStrict(const SimulationConfig& c) {
  constexpr ErrorKind kKind = ErrorKind::kInvalidArgument;
  return First<6>({
      CheckRange(kKind, "grid_size", static_cast<double>(c.grid_size), kMinGridSize, 512),
      CheckRange(kKind, "steps", static_cast<double>(c.steps), 1, 10000),
      CheckHalfOpenAlpha(c.alpha, 0.001),
      CheckRange(kKind, "spike_probability", c.spike_probability, 0.0, 1.0),
      CheckRange(kKind, "turing_threshold", c.turing_threshold, 0.0, 1.0),
      CheckRange(kKind, "jitter_var", c.jitter_var, 0.0, 0.01),
  });
}

Expected<void> CheckLimits(const SimulationConfig& config, const Limits& limits) {
  if (config.grid_size > limits.max_grid_size) {
    return TooMuch("grid_size", static_cast<double>(config.grid_size),
                   static_cast<double>(limits.max_grid_size),
                   "grid_size is " + std::to_string(config.grid_size) + ", this server allows " +
                       std::to_string(limits.max_grid_size));
  }
  const int64_t side = config.grid_size > 0 ? config.grid_size : 1;
  const int64_t max_steps = limits.max_cell_steps / (side * side);
  if (config.steps > max_steps) {
    return TooMuch("steps", static_cast<double>(config.steps), static_cast<double>(max_steps),
                   "steps is " + std::to_string(config.steps) + ", this server allows " +
                       std::to_string(max_steps) + " at grid_size " + std::to_string(side) +
                       " (grid_size * grid_size * steps up to " +
                       std::to_string(limits.max_cell_steps) + ")");
  }
  return CheckFinite(config);
}

}  // namespace mfn::engine
