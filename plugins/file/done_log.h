// Which files are finished, remembered across restarts in the host's mfn.state/1.
//
// One durable put per call of Add, however many files it has: each put is a blob "done/<number>" of
// one line per file. When there are many blobs they are rewritten into few, without the files that
// exist no longer. Without state in the host it remembers until the process ends.
//
// Also keeps how far a big file has been acked ("part/<hash>"). Thread-safe.
#ifndef MFN_PLUGINS_FILE_DONE_LOG_H_
#define MFN_PLUGINS_FILE_DONE_LOG_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "mfn/sdk/host.hpp"
#include "plugins/file/fs.h"

namespace mfn::file {

class DoneLog {
 public:
  explicit DoneLog(sdk::State state) : state_(state) {}

  // Reads what an earlier process wrote; before anything else.
  Status Load();
  bool Contains(const Identity& file) const;
  // Durable when Ok; nothing is remembered otherwise.
  Status Add(const std::vector<Identity>& files);

  // Up to which record the file has been acked without a gap; 0: none.
  Status Progress(const Identity& file, uint64_t* records) const;
  Status SetProgress(const Identity& file, uint64_t records);
  Status ClearProgress(const Identity& file);

 private:
  Status Compact();  // requires mutex_

  const sdk::State state_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::unordered_set<std::string> done_;  // lines, see Encode in the .cc
  std::vector<std::string> chunks_;       // keys in the state
  uint64_t next_chunk_ = 0;
  size_t compact_at_ = 64;
};

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_DONE_LOG_H_
