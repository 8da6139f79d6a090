// A file of the file plugin: whole, lines or a table, plain or compressed. The first byte picks
// format and compression; the rest is the file.
//
// Beyond not crashing: reading ends, no record is larger than the bound, and lines ascend.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "plugins/file/record_reader.h"

namespace {

constexpr uint64_t kMaxRecord = 1024;

void Require(bool holds) {
  if (!holds) std::abort();
}

// A file in memory, read through a real descriptor.
class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    Require(fd_ >= 0);
    Require(write(fd_, data, size) == static_cast<ssize_t>(size));
    Require(lseek(fd_, 0, SEEK_SET) == 0);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(fd_); }
  int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using mfn::file::ByteReader;
  using mfn::file::Compression;
  using mfn::file::Format;
  if (size == 0) return 0;
  constexpr Format kFormats[] = {Format::kJson, Format::kJsonl, Format::kCsv, Format::kRaw};
  constexpr Compression kCompressions[] = {Compression::kNone, Compression::kGzip,
                                           Compression::kZstd};
  const Format format = kFormats[data[0] % 4];
  const Compression compression = kCompressions[data[0] / 4 % 3];
  MemoryFile file(data + 1, size - 1);
  mfn::file::SourceConfig config;
  config.max_record_bytes = kMaxRecord;
  auto reader =
      mfn::file::MakeRecordReader(format, ByteReader::Make(compression, file.fd(), "fuzz"), config);
  uint64_t line = 0;
  bool end = false;
  // Each record takes at least one byte of what the file holds decompressed, of which there can be
  // a thousand times as much.
  for (size_t records = 0; !end; ++records) {
    Require(records <= size * 2048);
    mfn::file::RawRecord record;
    if (!reader->Next(&record, &end).ok()) break;
    if (end) break;
    Require(record.payload.size() <= kMaxRecord * 8);
    Require(record.line == 0 || record.line > line);
    line = record.line;
  }
  return 0;
}
