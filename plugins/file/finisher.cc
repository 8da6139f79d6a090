#include "plugins/file/finisher.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace mfn::file {

Finisher::Finisher(const SourceConfig* config, DoneLog* done, sdk::Host host)
    : config_(*config),
      done_(*done),
      host_(host),
      finished_(host.Counter("files_finished")),
      failed_(host.Counter("files_failed")),
      stuck_(host.Counter("files_not_moved")) {}

Status Finisher::MakeDirectories() {
  for (const std::string& dir : {config_.archive_dir, config_.error_dir}) {
    if (dir.empty()) continue;
    if (Status s = file::MakeDirectories(dir); !s.ok()) return s;
  }
  return Status::Ok();
}

Status Finisher::Finish(const std::vector<Job>& jobs, const std::string& directory) {
  std::vector<Identity> stay;
  std::vector<std::string> touched;
  for (const Job& job : jobs) {
    bool stays = false;
    Settle(job, &stays, &touched);
    if (stays) stay.push_back(job.file);
  }
  if (Status s = done_.Add(stay); !s.ok()) return s;
  if (!touched.empty()) touched.push_back(directory);
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  for (const std::string& dir : touched) {
    if (Status s = SyncDirectory(dir); !s.ok()) return s;
  }
  for (const Job& job : jobs) (job.failed ? failed_ : finished_).Add();
  return Status::Ok();
}

void Finisher::Settle(const Job& job, bool* stays, std::vector<std::string>* touched) {
  const std::string& path = job.file.path;
  struct stat st;
  if (!StatRegular(path, &st)) return;  // gone, by an earlier attempt or by somebody else
  if (!(MakeIdentity(path, st) == job.file)) {
    host_.Log(MFN_LOG_WARNING, path +
                                   " was changed after it had been read; it is read again as "
                                   "a new file (write elsewhere and rename to avoid this)");
    *stays = true;
    return;
  }
  Status status;
  const std::string& target = job.failed ? config_.error_dir : config_.archive_dir;
  if (!target.empty()) {
    std::string to;
    status = MoveInto(path, target, job.name, &to);
    touched->push_back(target);
  } else if (config_.afterwards == Afterwards::kDelete && !job.failed) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      status = SystemError(errno, "delete", path);
    }
    touched->push_back(ParentOf(path));
  } else {
    *stays = true;
    return;
  }
  if (status.ok()) return;
  // Its records are done with; what failed is only tidying up. So it is remembered instead.
  *stays = true;
  stuck_.Add();
  host_.Log(MFN_LOG_ERROR, status.message + "; the file stays where it is and is not read again");
}

}  // namespace mfn::file
