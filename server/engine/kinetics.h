// The chemistries ("kinetics") that a simulation can run: what reacts, with which parameters.
//
// Each is a pair of reaction terms for two species. One is held in the activator array (A), whose
// crossing of the threshold raises the potential; the other in the inhibitor array (I):
//
//   dA/dt = d_activator * lap(A) + f(A, I)        dI/dt = d_inhibitor * lap(I) + g(A, I)
//
// Lengths and times are in the units of SimulationConfig's spacing and time_step; concentrations
// have none. Only Mfn is clamped to [0, 1]; the others may take any value. With their defaults all
// but Mfn form a pattern. Ranges stand beside the parameters; where a homogeneous state exists that
// is stable without diffusion and unstable with it (a Turing instability), its conditions do too,
// with fA, fI, gA, gI the derivatives of f and g there:
//
//   fA + gI < 0,  fA * gI - fI * gA > 0,
//   d_inhibitor * fA + d_activator * gI > 2 * sqrt(d_activator * d_inhibitor * (fA * gI - fI * gA))
//
// stability.h computes them, and the wavelength that grows fastest.

#ifndef MFN_SERVER_ENGINE_KINETICS_H_
#define MFN_SERVER_ENGINE_KINETICS_H_

#include <string_view>
#include <variant>
#include <vector>

#include "server/engine/error.h"

namespace mfn::engine {

// The reference's: f = r_activator * (A * (1 - A) - I), g = r_inhibitor * (A - I). Its rates are
// those of SimulationConfig. The only homogeneous state is (0, 0), on the border of the clamp: what
// forms with open rates (d_inhibitor well above d_activator) is no linear instability's pattern.
struct Mfn {
  bool operator==(const Mfn&) const = default;
};

// A is the autocatalyst V, I the substrate U that is fed:
// f = I * A^2 - (feed + kill) * A, g = feed * (1 - I) - I * A^2.
// Source: J. E. Pearson, Complex patterns in a simple system, Science 261 (1993) 189; his diffusion
// of 1e-5 and 2e-5 on a mesh of 2.5 / 256 with steps of 1, in cells. The homogeneous state (A, I) =
// (0, 1) is stable against everything small; patterns start from a disturbed square.
struct GrayScott {
  double d_activator = 0.1048576;  // [0, 1000]
  double d_inhibitor = 0.2097152;  // [0, 1000]
  double feed = 0.037;             // F, 1/time; [0, 1]
  double kill = 0.06;              // k, 1/time; [0, 1]
  bool operator==(const GrayScott&) const = default;
};

// A is U, I is V: f = gamma * (a - A + A^2 * I), g = gamma * (b - A^2 * I).
// Source: J. Schnakenberg, J. Theor. Biol. 81 (1979) 389; in the form of J. D. Murray, Mathematical
// Biology II (2003), section 2.2. Steady state (a + b, b / (a + b)^2); it has a Turing instability
// if b > a, (b - a) < (a + b)^3, and d_inhibitor is large enough (8.6 times d_activator by
// default).
struct Schnakenberg {
  double d_activator = 1.0;   // [0, 1000]
  double d_inhibitor = 20.0;  // [0, 1000]
  double gamma = 1.0;         // 1/time; [0, 1000]
  double a = 0.1;             // [0, 10]
  double b = 0.9;             // [0.001, 10]
  bool operator==(const Schnakenberg&) const = default;
};

// f = a - b * A + A^2 / (I * (1 + saturation * A^2)), g = A^2 - c * I.
// Source: A. Gierer and H. Meinhardt, Kybernetik 12 (1972) 30; scaled as in Murray, section 2.2,
// with the decay c of the inhibitor left open (there 1). Steady state without saturation
// ((a + c) / b, A^2 / c); it has a Turing instability if 0 < b * (c - a) / (c + a) < c and
// d_inhibitor is large enough (8.3 times d_activator by default). Saturation turns spots to
// stripes.
struct GiererMeinhardt {
  double d_activator = 1.0;   // [0, 1000]
  double d_inhibitor = 20.0;  // [0, 1000]
  double a = 0.1;             // source of the activator; [0, 10]
  double b = 1.0;             // its decay, 1/time; [0.001, 10]
  double c = 1.0;             // decay of the inhibitor, 1/time; [0.001, 10]
  double saturation = 0.0;    // [0, 10]
  bool operator==(const GiererMeinhardt&) const = default;
};

// f = A - A^3 - I, g = epsilon * (A - a1 * I - a0).
// Source: A. Hagberg and E. Meron, Phys. Rev. Lett. 72 (1994) 2494. Steady state: (A, A - A^3) with
// a1 * A^3 + (1 - a1) * A = a0, unique if a1 <= 1, else the middle one of three where there are
// three. With a0 = 0 and a1 < 1 it is (0, 0) and has a Turing instability if epsilon * a1 > 1 and
// d_inhibitor - epsilon * a1 * d_activator > 2 * sqrt(d_activator * d_inhibitor * epsilon * (1 -
// a1)).
struct FitzHughNagumo {
  double d_activator = 1.0;   // [0, 1000]
  double d_inhibitor = 20.0;  // [0, 1000]
  double epsilon = 4.0;       // 1/time; [0.001, 100]
  double a1 = 0.5;            // [0, 10]
  double a0 = 0.0;            // [-10, 10]; away from 0, stripes turn to spots
  bool operator==(const FitzHughNagumo&) const = default;
};

// f = a - (b + 1) * A + A^2 * I, g = b * A - A^2 * I.
// Source: I. Prigogine and R. Lefever, J. Chem. Phys. 48 (1968) 1695; a and the ratio of diffusion
// as in B. Pena and C. Perez-Garcia, Phys. Rev. E 64 (2001) 056213. Steady state (a, b / a); it has
// a Turing instability if (1 + a * sqrt(d_activator / d_inhibitor))^2 < b < 1 + a^2; above that it
// oscillates as a whole.
struct Brusselator {
  double d_activator = 4.0;   // [0, 1000]
  double d_inhibitor = 32.0;  // [0, 1000]
  double a = 4.5;             // 1/time; [0.001, 100]
  double b = 7.5;             // 1/time; [0, 100]
  bool operator==(const Brusselator&) const = default;
};

using Kinetics =
    std::variant<Mfn, GrayScott, Schnakenberg, GiererMeinhardt, FitzHughNagumo, Brusselator>;

struct Diffusion {
  double activator = 0.0;
  double inhibitor = 0.0;
};

// "mfn", "gray_scott", "schnakenberg", "gierer_meinhardt", "fitzhugh_nagumo", "brusselator"
std::string_view KineticsName(const Kinetics& kinetics);

// A parameter of a Kinetics that outlives it, by the name it has in its struct.
struct Parameter {
  std::string_view name;
  double* value;
  double min, max;  // both allowed
};
// In the order of the struct; none for Mfn.
std::vector<Parameter> ParametersOf(Kinetics* kinetics);

// What suits a kinetics with its default parameters: a level that the activator passes in the
// middle of a spot, and a step within the bounds of stability.h at a spacing of 1.
double DefaultThreshold(const Kinetics& kinetics);
double DefaultTimeStep(const Kinetics& kinetics);

// kOutOfRange on "kinetics.schnakenberg.gamma" and so on; NaN is out of range.
Expected<void> ValidateKinetics(const Kinetics& kinetics);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_KINETICS_H_
