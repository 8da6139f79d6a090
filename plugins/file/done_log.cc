#include "plugins/file/done_log.h"

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace mfn::file {
namespace {

constexpr const char* kChunkPrefix = "done/";
constexpr size_t kMaxChunkBytes = 512 << 10;

// "inode mtime size path", the path percent-escaped so that a line is a line.
std::string Encode(const Identity& file) {
  std::string line = std::to_string(file.inode) + ' ' + std::to_string(file.mtime_ns) + ' ' +
                     std::to_string(file.size) + ' ';
  for (char c : file.path) {
    if (c == '\n') {
      line += "%0A";
    } else if (c == '%') {
      line += "%25";
    } else {
      line += c;
    }
  }
  return line;
}

bool Decode(const std::string& line, Identity* file) {
  char* at = nullptr;
  file->inode = std::strtoull(line.c_str(), &at, 10);
  file->mtime_ns = std::strtoll(at, &at, 10);
  file->size = std::strtoull(at, &at, 10);
  if (*at != ' ') return false;
  file->path.clear();
  for (const char* p = at + 1; *p != '\0'; ++p) {
    if (*p == '%' && p[1] != '\0' && p[2] != '\0') {
      file->path += p[1] == '0' ? '\n' : '%';
      p += 2;
    } else {
      file->path += *p;
    }
  }
  return true;
}

bool StillThere(const std::string& line) {
  Identity file;
  struct stat st;
  return Decode(line, &file) && StatRegular(file.path, &st) && MakeIdentity(file.path, st) == file;
}

std::string ChunkKey(uint64_t number) {
  char key[40];
  std::snprintf(key, sizeof(key), "%s%020llu", kChunkPrefix,
                static_cast<unsigned long long>(number));
  return key;
}

std::string ProgressKey(const Identity& file) {
  uint64_t hash = 14695981039346656037ull;
  for (unsigned char c : file.path) hash = (hash ^ c) * 1099511628211ull;
  char key[32];
  std::snprintf(key, sizeof(key), "part/%016llx", static_cast<unsigned long long>(hash));
  return key;
}

}  // namespace

Status DoneLog::Load() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!state_.available()) return Status::Ok();
  std::vector<std::pair<std::string, std::string>> entries;
  if (Status s = state_.List(kChunkPrefix, &entries); !s.ok()) return s;
  done_.clear();
  chunks_.clear();
  for (auto& [key, value] : entries) {
    for (size_t at = 0; at < value.size();) {
      const size_t end = value.find('\n', at);
      if (end == std::string::npos) break;
      done_.insert(value.substr(at, end - at));
      at = end + 1;
    }
    next_chunk_ =
        std::strtoull(key.c_str() + std::string_view(kChunkPrefix).size(), nullptr, 10) + 1;
    chunks_.push_back(std::move(key));
  }
  return chunks_.size() > 1 ? Compact() : Status::Ok();
}

bool DoneLog::Contains(const Identity& file) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return done_.count(Encode(file)) != 0;
}

Status DoneLog::Add(const std::vector<Identity>& files) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::string> lines;
  std::string blob;
  for (const Identity& file : files) {
    lines.push_back(Encode(file));
    if (done_.count(lines.back()) != 0) continue;
    blob += lines.back() + '\n';
  }
  if (blob.empty()) return Status::Ok();
  if (state_.available()) {
    if (chunks_.size() >= compact_at_) {
      if (Status s = Compact(); !s.ok()) return s;
    }
    const std::string key = ChunkKey(next_chunk_);
    if (Status s = state_.Put(key, blob); !s.ok()) return s;
    ++next_chunk_;
    chunks_.push_back(key);
  }
  done_.insert(lines.begin(), lines.end());
  return Status::Ok();
}

// The new blobs are durable before the old ones go, so a crash in between leaves both, which say
// the same.
Status DoneLog::Compact() {
  for (auto it = done_.begin(); it != done_.end();) {
    it = StillThere(*it) ? std::next(it) : done_.erase(it);
  }
  std::vector<std::string> fresh;
  std::string blob;
  auto flush = [&]() -> Status {
    if (blob.empty()) return Status::Ok();
    const std::string key = ChunkKey(next_chunk_);
    if (Status s = state_.Put(key, blob); !s.ok()) return s;
    ++next_chunk_;
    fresh.push_back(key);
    blob.clear();
    return Status::Ok();
  };
  for (const std::string& line : done_) {
    if (blob.size() + line.size() > kMaxChunkBytes) {
      if (Status s = flush(); !s.ok()) return s;
    }
    blob += line + '\n';
  }
  if (Status s = flush(); !s.ok()) return s;
  for (const std::string& key : chunks_) {
    if (Status s = state_.Remove(key); !s.ok()) return s;
  }
  chunks_ = std::move(fresh);
  // Proportional to the size, so that rewriting stays a constant cost per file.
  compact_at_ = chunks_.size() + 64 + done_.size() / 256;
  return Status::Ok();
}

Status DoneLog::Progress(const Identity& file, uint64_t* records) const {
  *records = 0;
  if (!state_.available()) return Status::Ok();
  std::lock_guard<std::mutex> lock(mutex_);
  std::optional<std::string> value;
  if (Status s = state_.Get(ProgressKey(file), &value); !s.ok()) return s;
  // The identity is part of the value: another file of that path starts from its beginning.
  const std::string identity = '\n' + Encode(file);
  if (value && value->size() > identity.size() &&
      value->compare(value->size() - identity.size(), identity.size(), identity) == 0) {
    *records = std::strtoull(value->c_str(), nullptr, 10);
  }
  return Status::Ok();
}

Status DoneLog::SetProgress(const Identity& file, uint64_t records) {
  if (!state_.available()) return Status::Ok();
  std::lock_guard<std::mutex> lock(mutex_);
  return state_.Put(ProgressKey(file), std::to_string(records) + '\n' + Encode(file));
}

Status DoneLog::ClearProgress(const Identity& file) {
  if (!state_.available()) return Status::Ok();
  std::lock_guard<std::mutex> lock(mutex_);
  return state_.Remove(ProgressKey(file));
}

}  // namespace mfn::file
