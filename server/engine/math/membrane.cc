// Checks, Nernst arrays and the two explicit schemes.

#include "server/engine/math/membrane.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "server/engine/kernel.h"
#include "server/engine/math/nernst.h"
#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

constexpr double kPotentialLimitV = 0.150;

Expected<void> CheckRange(const char* field, double value, double min, double max) {
  if (value >= min && value <= max) return {};
  return OutOfRange(field, value, min, max);
}

Error TooMuch(const char* field, std::string message) {
  Error error;
  error.kind = ErrorKind::kResourceExhausted;
  error.field = field;
  error.message = std::move(message);
  return error;
}

// NaN before infinity, as in every stability check of the model.
Expected<void> CheckFinite(std::span<const double> v, std::optional<int64_t> step) {
  const auto count = [v](auto predicate) { return std::count_if(v.begin(), v.end(), predicate); };
  const int64_t nans = count([](double x) { return std::isnan(x); });
  const int64_t infinities = nans != 0 ? 0 : count([](double x) { return std::isinf(x); });
  if (nans == 0 && infinities == 0) return {};
  Error error;
  error.kind = ErrorKind::kNumericalInstability;
  error.field = "potential";
  error.step = step;
  error.count = nans != 0 ? nans : infinities;
  error.message = std::to_string(*error.count) + (nans != 0 ? " NaN" : " infinite") + " of " +
                  std::to_string(v.size()) + " potentials" +
                  (step ? " in step " + std::to_string(*step) : std::string()) +
                  "; check the inputs, or use a smaller dt";
  return error;
}

PotentialStatistics StatisticsOf(std::span<const double> v) {
  const auto [min, max] = std::minmax_element(v.begin(), v.end());
  return {*min, *max, Mean(v), Std(v)};
}

Expected<void> CheckValence(int z) {
  if (z != 0 && z >= -2 && z <= 2) return {};
  Error error = OutOfRange("z", static_cast<double>(z), -2.0, 2.0);
  error.message = "z is " + std::to_string(z) + ", must be -2, -1, 1 or 2";
  return error;
}

// A NaN stays.
double RaiseTo(double minimum, double concentration) {
  return concentration < minimum ? minimum : concentration;
}

// The derivative and the intermediate states of one integration, allocated once.
class Stepper {
 public:
  Stepper(const MembraneConfig& config, const MembraneDerivative& derivative, size_t n)
      : config_(config), derivative_(derivative), k1_(n) {
    if (config.scheme == IntegrationScheme::kEuler) return;
    for (auto* buffer : {&k2_, &k3_, &k4_, &probe_}) buffer->resize(n);
  }

  void Step(std::vector<double>& v) {
    derivative_(v, k1_);
    if (config_.scheme == IntegrationScheme::kEuler) {
      for (size_t i = 0; i < v.size(); ++i) v[i] = v[i] + config_.dt * k1_[i];
      return;
    }
    const double half = 0.5 * config_.dt;
    Probe(v, half, k1_, k2_);
    Probe(v, half, k2_, k3_);
    Probe(v, config_.dt, k3_, k4_);
    const double sixth = config_.dt / 6.0;
    for (size_t i = 0; i < v.size(); ++i) {
      v[i] = v[i] + sixth * (((k1_[i] + 2.0 * k2_[i]) + 2.0 * k3_[i]) + k4_[i]);
    }
  }

 private:
  // out = f(v + h * k)
  void Probe(const std::vector<double>& v, double h, const std::vector<double>& k,
             std::vector<double>& out) {
    for (size_t i = 0; i < v.size(); ++i) probe_[i] = v[i] + h * k[i];
    derivative_(probe_, out);
  }

  const MembraneConfig& config_;
  const MembraneDerivative& derivative_;
  std::vector<double> k1_, k2_, k3_, k4_, probe_;
};

int64_t ClampAll(const MembraneConfig& config, std::vector<double>& v) {
  int64_t changed = 0;
  for (double& value : v) {
    if (value < config.potential_min_v) {
      value = config.potential_min_v;
      ++changed;
    } else if (value > config.potential_max_v) {
      value = config.potential_max_v;
      ++changed;
    }
  }
  return changed;
}

Expected<void> CheckSize(std::span<const double> v0, int64_t steps) {
  if (v0.empty()) return InvalidArgument("v0", "v0 is empty, needs at least one potential");
  if (v0.size() > kMaxMembraneValues) {
    return TooMuch("v0", "v0 has " + std::to_string(v0.size()) + " values, at most " +
                             std::to_string(kMaxMembraneValues));
  }
  if (steps < 0) return InvalidArgument("steps", static_cast<double>(steps), 0.0, std::nullopt);
  if (static_cast<uint64_t>(steps) <= kMaxMembraneWork / v0.size()) return {};
  return TooMuch("steps", std::to_string(steps) + " steps of " + std::to_string(v0.size()) +
                              " values are too many, at most " + std::to_string(kMaxMembraneWork) +
                              " values in all");
}

}  // namespace

Expected<IntegrationScheme> ParseIntegrationScheme(std::string_view name) {
  if (name == "euler") return IntegrationScheme::kEuler;
  if (name == "rk4") return IntegrationScheme::kRk4;
  return InvalidArgument("scheme",
                         "scheme is \"" + std::string(name) + "\", must be \"euler\" or \"rk4\"");
}

Expected<void> ValidateMembraneConfig(const MembraneConfig& config) {
  if (auto ok = CheckRange("temperature_k", config.temperature_k, 273.0, 320.0); !ok.ok()) {
    return ok;
  }
  if (!(config.ion_clamp_min > 0.0)) {
    Error error = OutOfRange("ion_clamp_min", config.ion_clamp_min, 0.0, std::nullopt);
    error.message = "ion_clamp_min is " + FormatDouble(config.ion_clamp_min) + ", must be above 0";
    return error;
  }
  if (auto ok = CheckRange("dt", config.dt, 1e-7, 1e-2); !ok.ok()) return ok;
  if (!(config.potential_min_v < config.potential_max_v)) {
    Error error =
        OutOfRange("potential_min_v", config.potential_min_v, std::nullopt, config.potential_max_v);
    error.message = "potential_min_v is " + FormatDouble(config.potential_min_v) +
                    ", must be below potential_max_v, " + FormatDouble(config.potential_max_v);
    return error;
  }
  if (config.potential_min_v < -kPotentialLimitV) {
    return OutOfRange("potential_min_v", config.potential_min_v, -kPotentialLimitV, std::nullopt);
  }
  if (config.potential_max_v > kPotentialLimitV) {
    return OutOfRange("potential_max_v", config.potential_max_v, std::nullopt, kPotentialLimitV);
  }
  return {};
}

Expected<MembraneNernst> MembraneNernstPotentials(const MembraneConfig& config, int z,
                                                  std::span<const double> c_out,
                                                  std::span<const double> c_in,
                                                  std::optional<double> temperature_k) {
  if (auto ok = ValidateMembraneConfig(config); !ok.ok()) return ok.error();
  if (auto ok = CheckValence(z); !ok.ok()) return ok.error();
  if (c_out.empty() || c_out.size() != c_in.size()) {
    return InvalidArgument("c_in", "c_in has " + std::to_string(c_in.size()) +
                                       " values and c_out " + std::to_string(c_out.size()) +
                                       "; both need the same number, at least one");
  }
  if (c_out.size() > kMaxMembraneValues) {
    return TooMuch("c_out", "c_out has " + std::to_string(c_out.size()) + " values, at most " +
                                std::to_string(kMaxMembraneValues));
  }
  MembraneNernst result;
  result.volts.reserve(c_out.size());
  for (size_t i = 0; i < c_out.size(); ++i) {
    const double out = RaiseTo(config.ion_clamp_min, c_out[i]);
    const double in = RaiseTo(config.ion_clamp_min, c_in[i]);
    result.clamping_events += (c_out[i] < config.ion_clamp_min) + (c_in[i] < config.ion_clamp_min);
    result.volts.push_back(NernstFormula(z, out, in, temperature_k.value_or(config.temperature_k)));
  }
  if (auto ok = CheckFinite(result.volts, std::nullopt); !ok.ok()) return ok.error();
  result.statistics = StatisticsOf(result.volts);
  return result;
}

Expected<MembraneNernstScalar> MembraneNernstPotential(const MembraneConfig& config, int z,
                                                       double c_out, double c_in,
                                                       std::optional<double> temperature_k) {
  const auto result = MembraneNernstPotentials(config, z, {&c_out, 1}, {&c_in, 1}, temperature_k);
  if (!result.ok()) return result.error();
  return MembraneNernstScalar{result->volts[0], std::min<int64_t>(result->clamping_events, 1)};
}

Expected<MembraneDerivative> LeakDerivative(double v_rest, double tau) {
  if (!std::isfinite(v_rest)) {
    return InvalidArgument("v_rest", "v_rest is " + FormatDouble(v_rest) + ", must be finite");
  }
  if (tau == 0.0 || !std::isfinite(tau)) {
    return InvalidArgument("tau", "tau is " + FormatDouble(tau) + ", must be finite and not 0");
  }
  return MembraneDerivative([v_rest, tau](std::span<const double> v, std::span<double> out) {
    for (size_t i = 0; i < v.size(); ++i) out[i] = (v_rest - v[i]) / tau;
  });
}

Expected<MembraneDerivative> NamedDerivative(std::string_view name,
                                             const DerivativeParams& params) {
  if (name == "leak") return LeakDerivative(params.v_rest, params.tau);
  if (name == "constant") {
    const double rate = params.rate;
    if (!std::isfinite(rate)) {
      return InvalidArgument("rate", "rate is " + FormatDouble(rate) + ", must be finite");
    }
    return MembraneDerivative([rate](std::span<const double>, std::span<double> out) {
      std::fill(out.begin(), out.end(), rate);
    });
  }
  return InvalidArgument("derivative", "derivative is \"" + std::string(name) +
                                           "\", must be \"leak\" or \"constant\"");
}

Expected<MembraneIntegration> IntegrateMembrane(const MembraneConfig& config,
                                                std::span<const double> v0,
                                                const MembraneDerivative& derivative, int64_t steps,
                                                bool clamp) {
  if (auto ok = ValidateMembraneConfig(config); !ok.ok()) return ok.error();
  if (auto ok = CheckSize(v0, steps); !ok.ok()) return ok.error();
  MembraneIntegration result;
  result.v.assign(v0.begin(), v0.end());
  Stepper stepper(config, derivative, v0.size());
  for (int64_t step = 0; step < steps; ++step) {
    stepper.Step(result.v);
    if (clamp) result.clamping_events += ClampAll(config, result.v);
    if (config.check_stability) {
      if (auto ok = CheckFinite(result.v, step); !ok.ok()) return ok.error();
    }
    ++result.steps_computed;
  }
  result.statistics = StatisticsOf(result.v);
  return result;
}

bool PotentialsInRange(const MembraneConfig& config, std::span<const double> v, bool strict) {
  const double min = strict ? kFieldMinV : config.potential_min_v;
  const double max = strict ? kFieldMaxV : config.potential_max_v;
  return std::all_of(v.begin(), v.end(), [min, max](double x) { return x >= min && x <= max; });
}

}  // namespace mfn::engine
