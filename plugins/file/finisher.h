// What becomes of a file whose records are all settled: archived, deleted or left, and remembered
// where it stays. Thread-safe.
#ifndef MFN_PLUGINS_FILE_FINISHER_H_
#define MFN_PLUGINS_FILE_FINISHER_H_

#include <string>
#include <vector>

#include "mfn/sdk/host.hpp"
#include "plugins/file/config.h"
#include "plugins/file/done_log.h"
#include "plugins/file/inbox.h"

namespace mfn::file {

class Finisher {
 public:
  // config and done are borrowed. Registers metrics.
  Finisher(const SourceConfig* config, DoneLog* done, sdk::Host host);

  // Makes archive_dir and error_dir.
  Status MakeDirectories();
  // Durable when Ok: after a restart none of the files is read again. May be repeated after a
  // failure. A file that was changed since it was read is left alone: it is a new file.
  Status Finish(const std::vector<Job>& jobs, const std::string& directory);

 private:
  // Moves or removes one; *stays when it has to be remembered instead.
  void Settle(const Job& job, bool* stays, std::vector<std::string>* touched);

  const SourceConfig& config_;
  DoneLog& done_;
  const sdk::Host host_;
  const sdk::Metric finished_, failed_, stuck_;
};

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_FINISHER_H_
