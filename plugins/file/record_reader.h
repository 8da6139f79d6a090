// Cuts a file into records: the whole file, its lines, or the rows of a table. Streams; holds one
// record at a time. Not thread-safe.
#ifndef MFN_PLUGINS_FILE_RECORD_READER_H_
#define MFN_PLUGINS_FILE_RECORD_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "plugins/file/compression.h"
#include "plugins/file/config.h"

namespace mfn::file {

struct RawRecord {
  std::string payload;
  bool present = true;  // false: too large, its bytes are not given
  uint64_t line = 0;    // where it starts, from 1; 0 for a whole file
  const char* content_type = "";
  std::string error;  // what is wrong with it, or empty
};

class RecordReader {
 public:
  virtual ~RecordReader() = default;
  // *end without a record when there are no more. A failed read ends the file; the records before
  // it count. A bad piece that can be told from the rest is a record with an error instead.
  virtual Status Next(RawRecord* record, bool* end) = 0;
};

// The format of a file, its compression's extension taken off.
Format FormatOf(Format configured, const std::string& stem);
bool IsWholeFile(Format format);

// `format` is not kAuto. `bytes` is owned.
std::unique_ptr<RecordReader> MakeRecordReader(Format format, std::unique_ptr<ByteReader> bytes,
                                               const SourceConfig& config);
std::unique_ptr<RecordReader> MakeCsvReader(std::unique_ptr<ByteReader> bytes,
                                            uint64_t max_record_bytes);

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_RECORD_READER_H_
