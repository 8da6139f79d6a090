// What a shared object exports, read from the file without loading it.
#ifndef MFN_CONFORMANCE_ELF_H_
#define MFN_CONFORMANCE_ELF_H_

#include <string>
#include <vector>

namespace mfn::conformance {

// The names that a program which loads the file could bind to: defined, not local, not hidden.
// Throws std::runtime_error when the file is no 64-bit little-endian shared object.
std::vector<std::string> ExportedSymbols(const std::string& path);

}  // namespace mfn::conformance

#endif  // MFN_CONFORMANCE_ELF_H_
