// Step lengths and change rates of a history.

#include "server/engine/math/stability.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

constexpr double kMinStep = 1e-10;

Expected<void> Check(const HistoryView& history, double dt) {
  const bool sized = history.frames == 0
                         ? history.values.empty()
                         : history.cells != 0 && history.values.size() % history.cells == 0 &&
                               history.values.size() / history.cells == history.frames;
  if (!sized) {
    return InvalidArgument("history", "history has " + std::to_string(history.values.size()) +
                                          " values, must have " + std::to_string(history.frames) +
                                          " frames of " + std::to_string(history.cells) +
                                          " cells, and frames need at least one cell");
  }
  const auto bad = std::find_if(history.values.begin(), history.values.end(),
                                [](double v) { return !std::isfinite(v); });
  if (bad != history.values.end()) {
    return InvalidArgument("history", "history value " +
                                          std::to_string(bad - history.values.begin()) + " is " +
                                          FormatDouble(*bad) + ", must be finite");
  }
  if (!(dt > 0.0) || !std::isfinite(dt)) {
    return InvalidArgument("dt", "dt is " + FormatDouble(dt) + ", must be positive and finite");
  }
  return {};
}

double Exponent(const HistoryView& history, double dt) {
  double sum_of_logs = 0.0;
  double count = 0.0;
  for (size_t t = 1; t < history.frames; ++t) {
    const double* now = history.values.data() + t * history.cells;
    const double* before = now - history.cells;
    const double squares = SumOf(history.cells, [now, before](size_t k) {
      const double d = now[k] - before[k];
      return d * d;
    });
    const double length = std::sqrt(squares);
    if (!(length > kMinStep)) continue;
    sum_of_logs += std::log(length);
    count += 1.0;
  }
  return count == 0.0 ? 0.0 : sum_of_logs / (count * dt);
}

}  // namespace

Expected<double> HistoryLyapunov(const HistoryView& history, double dt) {
  if (auto ok = Check(history, dt); !ok.ok()) return ok.error();
  return Exponent(history, dt);
}

Expected<StabilityMetrics> ComputeStabilityMetrics(const HistoryView& history, double dt) {
  if (auto ok = Check(history, dt); !ok.ok()) return ok.error();
  StabilityMetrics metrics;
  metrics.lyapunov_exponent = Exponent(history, dt);
  metrics.is_stable = IsStable(metrics.lyapunov_exponent) ? 1.0 : 0.0;
  if (history.frames == 0) return metrics;

  metrics.final_std = Std(history.values.last(history.cells));
  if (history.frames < 2) return metrics;
  const double* values = history.values.data();
  const size_t cells = history.cells;
  const size_t count = history.values.size() - cells;
  // Consecutive frames lie `cells` apart, so the differences are one flat, time-major array.
  const auto change = [values, cells](size_t k) {
    return std::fabs(values[k + cells] - values[k]);
  };
  metrics.mean_change_rate = (SumOf(count, change) / static_cast<double>(count)) / dt;
  double largest = 0.0;
  for (size_t k = 0; k < count; ++k) largest = std::max(largest, change(k));
  metrics.max_change_rate = largest / dt;
  return metrics;
}

}  // namespace mfn::engine
