#include "plugins/file/inbox.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

namespace mfn::file {
namespace {

// A file untouched for that long needs no watching; larger than the clock skew that a network file
// system may have.
constexpr int64_t kOldNs = 10'000'000'000;

int64_t ChangedNs(const struct stat& st) {
  const int64_t changed =
      static_cast<int64_t>(st.st_ctim.tv_sec) * 1'000'000'000 + st.st_ctim.tv_nsec;
  return std::max(changed, MtimeNs(st));
}

int64_t WallNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool EndsWith(const std::string& name, const std::string& suffix) {
  return name.size() >= suffix.size() &&
         name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
}

}  // namespace

Status Inbox::Open() {
  std::string path = config_.path;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  struct stat st;
  pattern_ = config_.pattern;
  exact_ = false;
  if (::stat(path.c_str(), &st) == 0) {
    if (!S_ISDIR(st.st_mode)) {
      exact_ = true;
      pattern_ = NameOf(path);
      path = ParentOf(path);
    }
  } else if (NameOf(path).find_first_of("*?[") != std::string::npos && !config_.pattern_given) {
    pattern_ = NameOf(path);
    path = ParentOf(path);
  } else {
    return SystemError(errno, "read", path);
  }
  std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), ::free);
  if (real == nullptr) return SystemError(errno, "read directory", path);
  directory_ = real.get();
  return Status::Ok();
}

bool Inbox::Wanted(const std::string& name) const {
  if (name.empty() || name[0] == '.') return false;
  if (exact_) return name == pattern_;
  for (const std::string& suffix : config_.ignore_suffixes) {
    if (EndsWith(name, suffix)) return false;
  }
  return ::fnmatch(pattern_.c_str(), name.c_str(), FNM_PERIOD) == 0;
}

bool Inbox::Look(const std::string& name, Job* job) const {
  const std::string path = directory_ + "/" + name;
  struct stat st;
  if (!StatRegular(path, &st)) return false;
  *job = Job();
  job->name = name;
  job->file = MakeIdentity(path, st);
  return !done_.Contains(job->file);
}

void Inbox::MakeReady(Entry* entry) {
  entry->phase = Phase::kReady;
  waiting_.erase(entry->job.name);
  ready_.push_back(entry->job.name);
}

Status Inbox::Scan(Time now) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory_.c_str()), ::closedir);
  if (dir == nullptr) return SystemError(errno, "list", directory_);
  struct Found {
    int64_t changed_ns;
    Job job;
  };
  std::vector<Found> found;
  errno = 0;
  while (const dirent* item = ::readdir(dir.get())) {
    const std::string name = item->d_name;
    struct stat st;
    const std::string path = directory_ + "/" + name;
    if (Wanted(name) && StatRegular(path, &st)) {
      Found file;
      file.changed_ns = ChangedNs(st);
      file.job.name = name;
      file.job.file = MakeIdentity(path, st);
      if (!done_.Contains(file.job.file)) found.push_back(std::move(file));
    }
    errno = 0;
  }
  if (errno != 0) return SystemError(errno, "list", directory_);
  // Oldest first, whatever order the directory has.
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return std::tie(a.job.file.mtime_ns, a.job.name) < std::tie(b.job.file.mtime_ns, b.job.name);
  });
  const int64_t old_ns =
      WallNs() - std::max<int64_t>(kOldNs, std::chrono::nanoseconds(config_.settle).count());
  std::lock_guard<std::mutex> lock(mutex_);
  for (Found& file : found) {
    const std::string name = file.job.name;
    const auto [it, fresh] = entries_.try_emplace(name);
    if (!fresh) continue;
    it->second.job = std::move(file.job);
    it->second.due = now + config_.settle;
    waiting_.insert(name);
    if (config_.settle.count() == 0 || file.changed_ns <= old_ns) MakeReady(&it->second);
  }
  return Status::Ok();
}

void Inbox::Complete(const std::string& name) {
  Job job;
  if (!Wanted(name) || !Look(name, &job)) return;
  std::lock_guard<std::mutex> lock(mutex_);
  const auto [it, fresh] = entries_.try_emplace(name);
  Entry& entry = it->second;
  if (entry.phase == Phase::kHeld) {
    entry.changed = true;
    return;
  }
  if (entry.phase == Phase::kAgain && entry.job.file == job.file) return;
  const bool queued = !fresh && entry.phase == Phase::kReady;
  entry.job = std::move(job);
  if (!queued) MakeReady(&entry);
}

void Inbox::Promote(Time now) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Entry*> due;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const std::string& name = *it;
    Entry& entry = entries_[name];
    Job seen;
    if (entry.due > now) {
      ++it;
    } else if (!Look(name, &seen)) {
      entries_.erase(name);
      it = waiting_.erase(it);
    } else {
      if (entry.phase == Phase::kAgain || seen.file == entry.job.file) {
        due.push_back(&entry);
      } else {
        entry.job.file = seen.file;
        entry.due = now + config_.settle;
      }
      ++it;
    }
  }
  std::sort(due.begin(), due.end(), [](const Entry* a, const Entry* b) {
    return std::tie(a->job.file.mtime_ns, a->job.name) <
           std::tie(b->job.file.mtime_ns, b->job.name);
  });
  for (Entry* entry : due) MakeReady(entry);
}

Time Inbox::NextDue() const {
  std::lock_guard<std::mutex> lock(mutex_);
  Time next = Time::max();
  for (const std::string& name : waiting_) next = std::min(next, entries_.at(name).due);
  return next;
}

bool Inbox::Pop(Job* job) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (ready_.empty()) return false;
  Entry& entry = entries_[ready_.front()];
  ready_.pop_front();
  entry.phase = Phase::kHeld;
  entry.changed = false;
  *job = std::move(entry.job);
  return true;
}

void Inbox::Release(const std::string& name) {
  bool changed = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto it = entries_.find(name);
    if (it == entries_.end()) return;
    changed = it->second.changed;
    entries_.erase(it);
  }
  if (changed) Complete(name);
}

void Inbox::Again(Job job, Time due) {
  std::lock_guard<std::mutex> lock(mutex_);
  Entry& entry = entries_[job.name];
  entry.phase = Phase::kAgain;
  entry.due = due;
  waiting_.insert(job.name);
  entry.job = std::move(job);
}

bool Inbox::Idle() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return entries_.empty();
}

}  // namespace mfn::file
