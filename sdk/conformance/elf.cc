// Every offset of the file is checked before it is followed.
#include "elf.h"

#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace mfn::conformance {
namespace {

class File {
 public:
  explicit File(const std::string& path) : path_(path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error(path + ": cannot be opened");
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
  }
  // The T at that offset, copied, since nothing promises its alignment.
  template <class T>
  T At(uint64_t offset) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) Bad("it is cut off");
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }
  std::string Text(uint64_t offset) const {
    if (offset >= bytes_.size()) Bad("a name is outside of it");
    return std::string(bytes_.data() + offset,
                       strnlen(bytes_.data() + offset, bytes_.size() - offset));
  }
  [[noreturn]] void Bad(const std::string& why) const {
    throw std::runtime_error(path_ + ": not a shared object that can be read: " + why);
  }

 private:
  std::string path_;
  std::string bytes_;
};

bool IsExported(const Elf64_Sym& symbol) {
  const unsigned char binding = ELF64_ST_BIND(symbol.st_info);
  const unsigned char visibility = ELF64_ST_VISIBILITY(symbol.st_other);
  // An absolute object names a version of the library's own symbols.
  return symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS && binding != STB_LOCAL &&
         (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

}  // namespace

std::vector<std::string> ExportedSymbols(const std::string& path) {
  const File file(path);
  const auto head = file.At<Elf64_Ehdr>(0);
  if (std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) file.Bad("no ELF header");
  if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB) {
    file.Bad("it is not for a 64-bit little-endian machine");
  }
  if (head.e_type != ET_DYN || head.e_shentsize != sizeof(Elf64_Shdr)) file.Bad("wrong type");
  std::vector<std::string> names;
  for (uint64_t i = 0; i < head.e_shnum; ++i) {
    const auto section = file.At<Elf64_Shdr>(head.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type != SHT_DYNSYM) continue;
    if (section.sh_link >= head.e_shnum) file.Bad("its symbols have no names");
    const auto strings = file.At<Elf64_Shdr>(head.e_shoff + section.sh_link * sizeof(Elf64_Shdr));
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = file.At<Elf64_Sym>(section.sh_offset + at);
      if (IsExported(symbol)) names.push_back(file.Text(strings.sh_offset + symbol.st_name));
    }
    return names;
  }
  file.Bad("it has no table of dynamic symbols");
}

}  // namespace mfn::conformance
