// The chemistries ("kinetics") that a simulation can run: what reacts, with which parameters.
//
// Each is a pair of reaction terms for two species. One is held in the activator array (A), whose
// crossing of the threshold raises the potential; the other in the inhibitor array (I):
//
//   dA/dt = d_activator * lap(A) + f(A, I)        dI/dt = d_inhibitor * lap(I) + g(A, I)
//
// Lengths are in units of the grid's spacing, times in units of its time step, concentrations
// without unit. Only Mfn is clamped to [0, 1]. Defaults form a pattern.

#ifndef MFN_SERVER_ENGINE_KINETICS_H_
#define MFN_SERVER_ENGINE_KINETICS_H_

#include <variant>

namespace mfn::engine {

// The reference's: f = r_activator * (A * (1 - A) - I), g = r_inhibitor * (A - I). Its rates are
// those of SimulationConfig.
struct Mfn {
  bool operator==(const Mfn&) const = default;
};

// A is the autocatalyst V, I the substrate U that is fed:
// f = I * A^2 - (feed + kill) * A, g = feed * (1 - I) - I * A^2.
// Source: J. E. Pearson, Complex patterns in a simple system, Science 261 (1993) 189; his diffusion
// of 1e-5 and 2e-5 on a mesh of 2.5 / 256, in cells.
struct GrayScott {
  double d_activator = 0.1048576;
  double d_inhibitor = 0.2097152;
  double feed = 0.037;
  double kill = 0.06;
  bool operator==(const GrayScott&) const = default;
};

// A is U, I is V: f = gamma * (a - A + A^2 * I), g = gamma * (b - A^2 * I).
// Source: J. Schnakenberg, J. Theor. Biol. 81 (1979) 389; in the form of J. D. Murray, Mathematical
// Biology II (2003), section 2.2.
struct Schnakenberg {
  double d_activator = 1.0;
  double d_inhibitor = 20.0;
  double gamma = 1.0;
  double a = 0.1;
  double b = 0.9;
  bool operator==(const Schnakenberg&) const = default;
};

// f = a - b * A + A^2 / (I * (1 + saturation * A^2)), g = A^2 - c * I.
// Source: A. Gierer and H. Meinhardt, Kybernetik 12 (1972) 30; scaled as in Murray, section 2.2,
// with the decay c of the inhibitor left open (there 1).
struct GiererMeinhardt {
  double d_activator = 1.0;
  double d_inhibitor = 20.0;
  double a = 0.1;
  double b = 1.0;
  double c = 1.0;
  double saturation = 0.0;
  bool operator==(const GiererMeinhardt&) const = default;
};

// f = A - A^3 - I, g = epsilon * (A - a1 * I - a0).
// Source: A. Hagberg and E. Meron, Phys. Rev. Lett. 72 (1994) 2494.
struct FitzHughNagumo {
  double d_activator = 1.0;
  double d_inhibitor = 20.0;
  double epsilon = 4.0;
  double a1 = 0.5;
  double a0 = 0.0;
  bool operator==(const FitzHughNagumo&) const = default;
};

// f = a - (b + 1) * A + A^2 * I, g = b * A - A^2 * I.
// Source: I. Prigogine and R. Lefever, J. Chem. Phys. 48 (1968) 1695; defaults near those of
// B. Pena and C. Perez-Garcia, Phys. Rev. E 64 (2001) 056213.
struct Brusselator {
  double d_activator = 7.0;
  double d_inhibitor = 56.0;
  double a = 4.5;
  double b = 7.5;
  bool operator==(const Brusselator&) const = default;
};

using Kinetics =
    std::variant<Mfn, GrayScott, Schnakenberg, GiererMeinhardt, FitzHughNagumo, Brusselator>;

struct Diffusion {
  double activator = 0.0;
  double inhibitor = 0.0;
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_KINETICS_H_
