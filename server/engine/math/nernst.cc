// The Nernst potential and the checks of its inputs.

#include "server/engine/math/nernst.h"

#include <algorithm>
#include <cmath>

namespace mfn::engine {

double NernstFormula(int z, double c_out_molar, double c_in_molar, double temperature_k) {
  return ((kGasConstant * temperature_k) / (static_cast<double>(z) * kFaradayConstant)) *
         std::log(c_out_molar / c_in_molar);
}

Expected<double> NernstPotential(int z, double c_out_molar, double c_in_molar,
                                 double temperature_k) {
  if (z == 0) return InvalidArgument("z", "z is 0, an ion without charge has no potential");
  if (!std::isfinite(c_out_molar)) {
    return InvalidArgument("c_out", "c_out is " + FormatDouble(c_out_molar) + ", must be finite");
  }
  if (!std::isfinite(c_in_molar)) {
    return InvalidArgument("c_in", "c_in is " + FormatDouble(c_in_molar) + ", must be finite");
  }
  if (!std::isfinite(temperature_k)) {
    return InvalidArgument("temperature_k",
                           "temperature_k is " + FormatDouble(temperature_k) + ", must be finite");
  }
  const double volts = NernstFormula(z, std::max(c_out_molar, kMinConcentrationMolar),
                                     std::max(c_in_molar, kMinConcentrationMolar), temperature_k);
  if (std::isfinite(volts)) return volts;
  Error error;
  error.kind = ErrorKind::kNumericalInstability;
  error.field = "potential";
  error.message = "the Nernst potential is " + FormatDouble(volts) +
                  " for these inputs; use a smaller temperature_k or concentration ratio";
  return error;
}

}  // namespace mfn::engine
