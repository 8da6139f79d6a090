// One pass over the rows: each row goes through all stages while it is in cache. Borders are
// resolved to row pointers and two edge cells, so that the inner loops have no conditions.

#include "server/engine/kernel.h"

#include <array>

namespace mfn::engine {
namespace {

// The row beyond a Dirichlet grid. It covers every grid that the engine accepts.
constexpr std::array<double, kMaxGridSize> kZeroRow{};

// NaN stays NaN, and -0.0 becomes a limit of 0.0: hence the comparisons with equality.
double Clamp(double x, double lo, double hi) {
  const double y = x <= lo ? lo : x;
  return y >= hi ? hi : y;
}

// A row of a field with its neighbours: above, below, and the values beyond its two ends.
struct Row {
  const double* mid;
  const double* up;
  const double* down;
  double before;
  double after;
};

Row RowOf(const double* field, size_t n, size_t i, Boundary boundary) {
  const double* mid = field + i * n;
  const bool first = i == 0;
  const bool last = i + 1 == n;
  const double* above = first ? nullptr : mid - n;
  const double* below = last ? nullptr : mid + n;
  switch (boundary) {
    case Boundary::kPeriodic:
      return {mid, first ? field + (n - 1) * n : above, last ? field : below, mid[n - 1], mid[0]};
    case Boundary::kNeumann:
      return {mid, first ? mid : above, last ? mid : below, mid[0], mid[n - 1]};
    case Boundary::kDirichlet:
      break;
  }
  return {mid, first ? kZeroRow.data() : above, last ? kZeroRow.data() : below, 0.0, 0.0};
}

// Section 3.4. Up and down commute; left and right do not, and the Dirichlet branch of the
// reference adds right first.
template <bool kRightFirst>
double Laplacian(double up, double down, double left, double right, double mid) {
  const double sides = kRightFirst ? ((up + down) + right) + left : ((up + down) + left) + right;
  return sides - 4.0 * mid;
}

template <bool kRightFirst>
void LaplacianRow(const Row& row, size_t n, double* __restrict out) {
  const double* __restrict mid = row.mid;
  const double* __restrict up = row.up;
  const double* __restrict down = row.down;
  if (n == 1) {
    out[0] = Laplacian<kRightFirst>(up[0], down[0], row.before, row.after, mid[0]);
    return;
  }
  out[0] = Laplacian<kRightFirst>(up[0], down[0], row.before, mid[1], mid[0]);
  for (size_t j = 1; j + 1 < n; ++j) {
    out[j] = Laplacian<kRightFirst>(up[j], down[j], mid[j - 1], mid[j + 1], mid[j]);
  }
  out[n - 1] = Laplacian<kRightFirst>(up[n - 1], down[n - 1], mid[n - 2], row.after, mid[n - 1]);
}

void LaplacianOf(const double* field, size_t n, size_t i, Boundary boundary, double* out) {
  const Row row = RowOf(field, n, i, boundary);
  if (boundary == Boundary::kDirichlet) return LaplacianRow<true>(row, n, out);
  LaplacianRow<false>(row, n, out);
}

// next_a and next_i hold the Laplacians on entry and the clamped new values on return; v already
// has the diffused potential of the row.
template <bool kSeesNew>
void ReactRow(const KernelParams& p, size_t n, const double* __restrict a,
              const double* __restrict inh, double* __restrict next_a, double* __restrict next_i,
              double* __restrict v, StepCounts& counts) {
  int64_t active = 0;
  int64_t nan_a = 0;
  int64_t nan_i = 0;
  for (size_t j = 0; j < n; ++j) {
    const double new_a =
        a[j] + ((p.d_activator * next_a[j]) + (p.r_activator * ((a[j] * (1.0 - a[j])) - inh[j])));
    const double seen = kSeesNew ? new_a : a[j];
    const double new_i =
        inh[j] + ((p.d_inhibitor * next_i[j]) + (p.r_inhibitor * (seen - inh[j])));
    const bool fires = new_a > p.turing_threshold;
    active += fires ? 1 : 0;
    v[j] = fires ? v[j] + kTuringIncrementV : v[j];
    next_a[j] = Clamp(new_a, 0.0, 1.0);
    next_i[j] = Clamp(new_i, 0.0, 1.0);
    nan_a += new_a != new_a ? 1 : 0;
    nan_i += new_i != new_i ? 1 : 0;
  }
  counts.turing_activations += active;
  counts.activator_nan += nan_a;
  counts.inhibitor_nan += nan_i;
}

// A NaN differs from itself, so it counts as clamped, as in the reference.
void ClampRow(size_t n, double* __restrict v, StepCounts& counts) {
  int64_t clamped = 0;
  int64_t nan = 0;
  for (size_t j = 0; j < n; ++j) {
    const double w = Clamp(v[j], kFieldMinV, kFieldMaxV);
    clamped += w != v[j] ? 1 : 0;
    nan += w != w ? 1 : 0;
    v[j] = w;
  }
  counts.clamping_events += clamped;
  counts.field_nan += nan;
}

}  // namespace

bool AddSpike(double probability, size_t n, double* field, Generator& generator) {
  if (!(generator.Random() < probability)) return false;
  const size_t i = generator.Integers(n);
  const size_t j = generator.Integers(n);
  field[i * n + j] += generator.Normal(kSpikeMeanV, kSpikeSdV);
  return true;
}

StepCounts StepField(const KernelParams& p, const KernelState& s, Generator& generator) {
  const size_t n = s.n;
  StepCounts counts;
  for (size_t i = 0; i < n; ++i) {
    const double* old_v = s.field + i * n;
    double* v = s.next_field + i * n;
    LaplacianOf(s.field, n, i, p.boundary, v);
    for (size_t j = 0; j < n; ++j) v[j] = old_v[j] + p.alpha * v[j];
    if (p.turing_enabled) {
      double* a = s.next_activator + i * n;
      double* inh = s.next_inhibitor + i * n;
      LaplacianOf(s.activator, n, i, p.boundary, a);
      LaplacianOf(s.inhibitor, n, i, p.boundary, inh);
      const auto react = p.inhibitor_sees_new_activator ? ReactRow<true> : ReactRow<false>;
      react(p, n, s.activator + i * n, s.inhibitor + i * n, a, inh, v, counts);
    }
    if (p.quantum_jitter) {
      for (size_t j = 0; j < n; ++j) v[j] += generator.Normal(0.0, p.jitter_sd);
    }
    ClampRow(n, v, counts);
  }
  return counts;
}

}  // namespace mfn::engine
