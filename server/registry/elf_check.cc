// Reads the ELF header and the segments it lists, and compares them with the file's size.
#include "server/registry/elf_check.h"

#include <elf.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace mfn::registry {
namespace {

#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
#else
#error "the ELF machine of this architecture is not listed"
#endif

template <class T>
bool ReadAt(std::ifstream& file, uint64_t offset, T* out) {
  file.seekg(static_cast<std::streamoff>(offset));
  file.read(reinterpret_cast<char*>(out), sizeof(T));
  return file.good();
}

std::string HeaderFault(const Elf64_Ehdr& header) {
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return "not a shared object (no ELF header)";
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return "not a 64-bit shared object";
  if (header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != kMachine) {
    return absl::StrCat("built for another machine (ELF machine ", header.e_machine, ", this is ",
                        kMachine, ")");
  }
  if (header.e_type != ET_DYN) return "an ELF file, but no shared object";
  if (header.e_phentsize != sizeof(Elf64_Phdr)) return "its ELF header is damaged";
  return "";
}

}  // namespace

std::string ElfFault(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return absl::StrCat("cannot be opened: ", std::strerror(errno));
  const auto size = static_cast<uint64_t>(file.tellg());
  Elf64_Ehdr header;
  if (size < sizeof(header) || !ReadAt(file, 0, &header)) {
    return "not a shared object (no ELF header)";
  }
  if (std::string fault = HeaderFault(header); !fault.empty()) return fault;
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    const uint64_t offset = header.e_phoff + i * sizeof(segment);
    const bool whole = header.e_phoff < size && ReadAt(file, offset, &segment);
    if (!whole || (segment.p_type == PT_LOAD &&
                   (segment.p_offset > size || segment.p_filesz > size - segment.p_offset))) {
      return absl::StrCat("cut short: its header tells of more than the ", size,
                          " bytes it has; copy it again");
    }
  }
  return "";
}

}  // namespace mfn::registry
