// Whether a file is a whole shared object of this machine. The linker maps a file before it looks
// at it: one that was cut short, as by a copy that is still running, would end the server with
// SIGBUS.
#ifndef MFN_SERVER_REGISTRY_ELF_CHECK_H_
#define MFN_SERVER_REGISTRY_ELF_CHECK_H_

#include <string>

namespace mfn::registry {

// Empty, or what is wrong with the file.
std::string ElfFault(const std::string& path);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_ELF_CHECK_H_
