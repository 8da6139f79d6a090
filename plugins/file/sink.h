// Records as files. A write is Ok only when its records survive a crash, so each ends with fsync:
// of the growing file (append, overwrite of rows), or of every new file and then the directory.
// Write: one thread at a time.
#ifndef MFN_PLUGINS_FILE_SINK_H_
#define MFN_PLUGINS_FILE_SINK_H_

#include <ctime>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "mfn/plugin.hpp"
#include "plugins/file/append_file.h"
#include "plugins/file/config.h"
#include "plugins/file/encode.h"
#include "plugins/file/naming.h"

namespace mfn::file {

class FileSink {
 public:
  using Clock = std::function<std::time_t()>;
  FileSink(SinkConfig config, sdk::Host host, Clock clock);

  Status Connect(sdk::Call& call);
  Status Check() const;
  Status Write(sdk::Call& call, sdk::BatchView batch);

 private:
  struct Row {
    uint64_t index;    // in the batch
    std::string text;  // jsonl
    Fields fields;     // csv
  };
  using Groups = std::vector<std::pair<std::string, std::vector<Row>>>;  // by file name

  Status WriteFiles(sdk::Call& call, sdk::BatchView batch);
  Status WriteSomeFiles(sdk::Call& call, sdk::BatchView batch, uint64_t first, uint64_t last);
  Status WriteRows(sdk::Call& call, sdk::BatchView batch);
  Groups GroupRows(sdk::Call& call, sdk::BatchView batch);
  Status AppendGroup(const std::string& name, const std::vector<Row>& rows);
  Status AppendTo(const std::string& name, const std::vector<Row>& rows, size_t first,
                  size_t* taken);
  Status NewFileOfRows(const std::string& name, const std::vector<Row>& rows);
  Status OpenFile(const std::string& name, AppendFile** file);
  Status Rotate(const std::string& name);
  bool RotationDue(const AppendFile& file) const;

  Status WriteTemporary(const std::string& bytes, std::string* path, Fd* fd);
  Status Publish(const std::string& temporary, const std::string& name, bool replace);

  const SinkConfig config_;
  const sdk::Host host_;
  const Clock clock_;
  const sdk::Metric files_, rotations_, repaired_;
  NameTemplate name_;
  uint64_t seq_ = 0, temporaries_ = 0;
  std::map<std::string, std::unique_ptr<AppendFile>> open_;  // by name
  std::list<std::string> recent_;                            // names of open_, latest first
  std::set<std::string> truncated_;  // overwrite: emptied already by this instance
};

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_SINK_H_
