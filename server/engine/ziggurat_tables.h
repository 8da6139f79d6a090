// Tables of the 256-layer ziggurat for the standard normal (numeric model, section 2.4). They are
// literals of the reference and cannot be recomputed: no clean derivation gives the same last bits.

#ifndef MFN_SERVER_ENGINE_ZIGGURAT_TABLES_H_
#define MFN_SERVER_ENGINE_ZIGGURAT_TABLES_H_

#include <cstdint>

namespace mfn::engine {

extern const uint64_t kZigguratKi[256];  // below 2^52
extern const double kZigguratWi[256];
extern const double kZigguratFi[256];

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_ZIGGURAT_TABLES_H_
