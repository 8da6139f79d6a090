// Tells which names of a directory may have changed, by inotify, and lets another thread wake the
// one that waits. Wake is thread-safe; everything else belongs to one thread.
#ifndef MFN_PLUGINS_FILE_WATCHER_H_
#define MFN_PLUGINS_FILE_WATCHER_H_

#include <chrono>
#include <string>
#include <vector>

#include "plugins/file/fs.h"

namespace mfn::file {

class Watcher {
 public:
  // Throws nothing; a process without free descriptors makes Watch fail.
  Watcher();

  // Starts watching; to be called before the directory is listed, so that nothing falls between.
  Status Watch(const std::string& directory);

  struct Events {
    std::vector<std::string> complete;  // closed after writing, or moved in
    bool overflow = false;              // events were lost: list the directory
    bool gone = false;                  // the directory itself was moved or removed
  };
  // What happened since the last call; does not wait.
  Status Drain(Events* events);
  // Returns when there are events, after Wake, or when the time is up.
  void Wait(std::chrono::milliseconds time);
  void Wake();

 private:
  Fd wake_, inotify_;
};

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_WATCHER_H_
