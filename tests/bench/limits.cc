// The loops behind limits.h, compiled for each instruction set like the engine's.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/bench/limits.cc"
#include "hwy/foreach_target.h"
// The above must come first.
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "hwy/aligned_allocator.h"
#include "hwy/highway.h"
#include "tests/bench/limits.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::bench {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Half additions, half multiplications, in enough chains to hide their latency. Returns how many.
int64_t Operate(int64_t rounds, double* result) {
  const hn::ScalableTag<double> d;
  const auto one = hn::Set(d, 1.0 + 1e-9);
  const auto tiny = hn::Set(d, 1e-9);
  // All different, or the compiler would see that some are the same.
  auto a = hn::Set(d, 1.0), b = hn::Set(d, 1.1), c = hn::Set(d, 1.2), e = hn::Set(d, 1.3);
  auto f = hn::Set(d, 1.4), g = hn::Set(d, 1.5), h = hn::Set(d, 1.6), i = hn::Set(d, 1.7);
  auto j = hn::Set(d, 1.8), k = hn::Set(d, 1.9);
  for (int64_t r = 0; r < rounds; ++r) {
    a = hn::Add(a, tiny);
    b = hn::Mul(b, one);
    c = hn::Add(c, tiny);
    e = hn::Mul(e, one);
    f = hn::Add(f, tiny);
    g = hn::Mul(g, one);
    h = hn::Add(h, tiny);
    i = hn::Mul(i, one);
    j = hn::Add(j, tiny);
    k = hn::Mul(k, one);
  }
  const auto sum = hn::Add(hn::Add(hn::Add(a, b), hn::Add(c, e)),
                           hn::Add(hn::Add(f, g), hn::Add(hn::Add(h, i), hn::Add(j, k))));
  *result = hn::GetLane(hn::SumOfLanes(d, sum));
  return rounds * 10 * static_cast<int64_t>(hn::Lanes(d));
}

void Triad(double* a, const double* b, const double* c, size_t n) {
  const hn::ScalableTag<double> d;
  const auto s = hn::Set(d, 3.0);
  for (size_t k = 0; k + hn::Lanes(d) <= n; k += hn::Lanes(d)) {
    hn::Store(hn::Add(hn::Load(d, b + k), hn::Mul(s, hn::Load(d, c + k))), d, a + k);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace mfn::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfn::bench {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

HWY_EXPORT(Operate);
HWY_EXPORT(Triad);

double PeakOperations() {
  double best = 0.0;
  volatile double sink = 0.0;
  for (int attempt = 0; attempt < 30; ++attempt) {
    double result = 0.0;
    const auto start = Clock::now();
    const int64_t done = HWY_DYNAMIC_DISPATCH(Operate)(200'000, &result);
    best = std::max(best, static_cast<double>(done) / SecondsSince(start));
    sink = result;
  }
  (void)sink;
  return best;
}

double TriadBytes(size_t bytes) {
  const size_t n = std::max<size_t>(bytes / 24 / 8 * 8, 64);
  const auto a = hwy::AllocateAligned<double>(n);
  const auto b = hwy::AllocateAligned<double>(n);
  const auto c = hwy::AllocateAligned<double>(n);
  for (double* array : {a.get(), b.get(), c.get()}) std::fill_n(array, n, 1.0);
  const size_t repeats = std::max<size_t>(2, 4'000'000 / n);
  double best = 0.0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    const auto start = Clock::now();
    for (size_t r = 0; r < repeats; ++r) HWY_DYNAMIC_DISPATCH(Triad)(a.get(), b.get(), c.get(), n);
    best = std::max(best, 24.0 * static_cast<double>(n * repeats) / SecondsSince(start));
  }
  return best;
}

}  // namespace mfn::bench
#endif  // HWY_ONCE
