// The configuration of a file connector or publisher, checked and with its defaults filled in.
#ifndef MFN_PLUGINS_FILE_CONFIG_H_
#define MFN_PLUGINS_FILE_CONFIG_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/file/compression.h"
#include "plugins/file/fs.h"

namespace mfn::file {

enum class Format { kAuto, kJson, kJsonl, kCsv, kRaw };
enum class Afterwards { kArchive, kDelete, kLeave };
enum class WriteMode { kAtomic, kAppend, kOverwrite };

struct SourceConfig {
  std::string path;  // as configured: a directory, a file, or a directory with a glob at its end
  bool watch = true;
  std::string pattern = "*";
  bool pattern_given = false;
  Format format = Format::kAuto;
  Afterwards afterwards = Afterwards::kLeave;
  std::string archive_dir, error_dir;  // empty: none
  std::chrono::milliseconds settle{200}, rescan{5000}, redeliver{1000};
  std::vector<std::string> ignore_suffixes = {".tmp", ".part"};
  bool decompress = true;
  std::string content_type = "application/octet-stream";
  uint64_t max_record_bytes = 64 << 20;
};

struct SinkConfig {
  std::string path;
  Format format = Format::kJson;
  std::string filename;  // template, with the extensions of format and compression
  WriteMode write = WriteMode::kAtomic;
  Compression compression = Compression::kNone;
  std::vector<std::string> columns;  // empty: every scalar field
  uint64_t rotate_bytes = 0;         // 0: never
  std::chrono::seconds rotate_after{0};
};

// One component serves both roles, and the host does not say which; so both are made, unless keys
// of one role rule out the other.
struct Config {
  bool may_read = true, may_write = true;
  SourceConfig source;
  SinkConfig sink;
};

// json is valid by schema.json. Refuses what the schema cannot say, naming the key: keys of both
// roles, archive without a directory, append of a format that cannot be appended to, a bad
// template.
Status ParseConfig(std::string_view json, Config* config);

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_CONFIG_H_
