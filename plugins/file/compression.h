// gzip and zstd, as streams. Concatenated members (gzip) and frames (zstd) are one stream, which is
// what makes an appended compressed file readable by the usual tools.
#ifndef MFN_PLUGINS_FILE_COMPRESSION_H_
#define MFN_PLUGINS_FILE_COMPRESSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "plugins/file/fs.h"

namespace mfn::file {

enum class Compression { kNone, kGzip, kZstd };

// ".gz", ".zst" or nothing.
const char* ExtensionOf(Compression compression);
// By the name's last extension; *stem is the name without it.
Compression CompressionOf(const std::string& name, std::string* stem);

// One complete member or frame; for kNone the bytes themselves.
Status Compress(Compression compression, std::string_view bytes, std::string* out);

// Reads a file and decompresses it. Not thread-safe; the descriptor is borrowed and its position is
// the reader's alone.
class ByteReader {
 public:
  static std::unique_ptr<ByteReader> Make(Compression compression, int fd, std::string path);
  virtual ~ByteReader() = default;
  // Appends up to about `want` bytes to *out; *end when there are no more. Damaged data:
  // PERMANENT with reason CORRUPT; a member that breaks off: PERMANENT with reason TRUNCATED.
  virtual Status Read(size_t want, std::string* out, bool* end) = 0;
  // How far into the file the last complete member or frame reaches; for kNone: what was read.
  virtual uint64_t complete_bytes() const = 0;
};

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_COMPRESSION_H_
