// The Nernst equilibrium potential of an ion (numeric model, section 6.1, free function). The
// variant with configured limits and clamp counters is in membrane.h.

#ifndef MFN_SERVER_ENGINE_MATH_NERNST_H_
#define MFN_SERVER_ENGINE_MATH_NERNST_H_

#include "server/engine/error.h"

namespace mfn::engine {

inline constexpr double kGasConstant = 8.314;            // J / (mol K)
inline constexpr double kFaradayConstant = 96485.33212;  // C / mol
inline constexpr double kDefaultTemperatureK = 310.0;    // body temperature
inline constexpr double kMinConcentrationMolar = 1e-6;   // lower clamp of both concentrations

// ((R T) / (z F)) * log(c_out / c_in), volt, in exactly this association and without any check or
// clamp: bit-exact with glibc's log.
double NernstFormula(int z, double c_out_molar, double c_in_molar, double temperature_k);

// The potential in volt; thread-safe, pure.
//   z            valence, any integer but 0
//   c_*_molar    mol/L, finite; values below 1e-6 (also negative ones) count as 1e-6
//   temperature  kelvin, finite; not limited further
// kInvalidArgument on "z", "c_out", "c_in" or "temperature_k"; kNumericalInstability if the result
// overflows.
Expected<double> NernstPotential(int z, double c_out_molar, double c_in_molar,
                                 double temperature_k = kDefaultTemperatureK);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_NERNST_H_
