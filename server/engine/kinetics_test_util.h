// For tests: the reaction terms in plain scalar code.

#ifndef MFN_SERVER_ENGINE_KINETICS_TEST_UTIL_H_
#define MFN_SERVER_ENGINE_KINETICS_TEST_UTIL_H_

#include <utility>

#include "server/engine/kernel.h"

namespace mfn::engine {

// What one step adds by reaction, as kinetics.h has it, with the constants folded as documented.
template <typename T>
struct Reaction {
  const KernelParams& p;
  T a, i;
  static T C(double value) { return static_cast<T>(value); }

  std::pair<T, T> operator()(const Mfn&) const {
    return {C(p.r_activator) * ((a * (1 - a)) - i), C(p.r_inhibitor) * (a - i)};
  }
  std::pair<T, T> operator()(const GrayScott& m) const {
    const T dt = C(p.time_step);
    const T made = i * (a * a);
    return {dt * (made - (C(m.feed + m.kill) * a)), dt * ((C(m.feed) * (1 - i)) - made)};
  }
  std::pair<T, T> operator()(const Schnakenberg& m) const {
    const T rate = C(p.time_step * m.gamma);
    const T made = (a * a) * i;
    return {rate * ((C(m.a) - a) + made), rate * (C(m.b) - made)};
  }
  std::pair<T, T> operator()(const GiererMeinhardt& m) const {
    const T dt = C(p.time_step);
    const T square = a * a;
    const T made = square / (i * (1 + (C(m.saturation) * square)));
    return {dt * ((C(m.a) - (C(m.b) * a)) + made), dt * (square - (C(m.c) * i))};
  }
  std::pair<T, T> operator()(const FitzHughNagumo& m) const {
    return {C(p.time_step) * ((a - ((a * a) * a)) - i),
            C(p.time_step * m.epsilon) * ((a - (C(m.a1) * i)) - C(m.a0))};
  }
  std::pair<T, T> operator()(const Brusselator& m) const {
    const T dt = C(p.time_step);
    const T made = (a * a) * i;
    return {dt * ((C(m.a) - (C(m.b + 1) * a)) + made), dt * ((C(m.b) * a) - made)};
  }
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_KINETICS_TEST_UTIL_H_
