#include "plugins/file/record_reader.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace mfn::file {
namespace {

constexpr size_t kReadBytes = 64 << 10;

std::string TooLarge(const std::string& what, uint64_t limit) {
  return what + " is larger than max_record_bytes (" + std::to_string(limit) + ")";
}

class WholeReader final : public RecordReader {
 public:
  WholeReader(std::unique_ptr<ByteReader> bytes, const char* content_type, uint64_t limit)
      : bytes_(std::move(bytes)), content_type_(content_type), limit_(limit) {}

  Status Next(RawRecord* record, bool* end) override {
    *end = done_;
    if (done_) return Status::Ok();
    done_ = true;
    *record = RawRecord();
    record->content_type = content_type_;
    // Most files are small: the first read is, and grows with what was found.
    for (bool at_end = false; !at_end;) {
      const size_t want = std::clamp<size_t>(record->payload.size(), 4096, 1 << 20);
      if (Status s = bytes_->Read(want, &record->payload, &at_end); !s.ok()) return s;
      if (record->payload.size() <= limit_) continue;
      record->payload = std::string();
      record->present = false;
      record->error = TooLarge("the file", limit_);
      return Status::Ok();
    }
    return Status::Ok();
  }

 private:
  std::unique_ptr<ByteReader> bytes_;
  const char* content_type_;
  const uint64_t limit_;
  bool done_ = false;
};

class LineReader final : public RecordReader {
 public:
  LineReader(std::unique_ptr<ByteReader> bytes, uint64_t limit)
      : bytes_(std::move(bytes)), limit_(limit) {}

  Status Next(RawRecord* record, bool* end) override {
    for (;;) {
      *record = RawRecord();
      record->content_type = "application/json";
      if (Status s = Line(record, end); !s.ok() || *end) return s;
      if (!record->present || record->payload.find_first_not_of(" \t\r") != std::string::npos) {
        return Status::Ok();
      }
    }
  }

 private:
  // The next line without its end. The last one needs no newline.
  Status Line(RawRecord* record, bool* end) {
    *end = false;
    record->line = ++line_;
    for (;;) {
      const size_t newline = buffer_.find('\n', at_);
      const size_t stop = newline == std::string::npos ? buffer_.size() : newline;
      Append(record, std::string_view(buffer_).substr(at_, stop - at_));
      if (newline != std::string::npos) {
        at_ = newline + 1;
        break;
      }
      buffer_.clear();
      at_ = 0;
      if (bytes_ended_) {
        *end = !started_;
        break;
      }
      if (Status s = bytes_->Read(kReadBytes, &buffer_, &bytes_ended_); !s.ok()) return s;
    }
    started_ = false;
    if (!record->payload.empty() && record->payload.back() == '\r') record->payload.pop_back();
    return Status::Ok();
  }

  void Append(RawRecord* record, std::string_view piece) {
    if (piece.empty()) return;
    started_ = true;
    if (!record->present) return;
    if (record->payload.size() + piece.size() > limit_) {
      record->payload = std::string();
      record->present = false;
      record->error = TooLarge("line " + std::to_string(record->line), limit_);
      return;
    }
    record->payload.append(piece);
  }

  std::unique_ptr<ByteReader> bytes_;
  const uint64_t limit_;
  std::string buffer_;
  size_t at_ = 0;
  uint64_t line_ = 0;
  bool bytes_ended_ = false;
  bool started_ = false;  // the line has bytes
};

bool HasExtension(const std::string& name, std::string_view extension) {
  return name.size() >= extension.size() &&
         name.compare(name.size() - extension.size(), extension.size(), extension) == 0;
}

}  // namespace

Format FormatOf(Format configured, const std::string& stem) {
  if (configured != Format::kAuto) return configured;
  if (HasExtension(stem, ".json")) return Format::kJson;
  if (HasExtension(stem, ".jsonl") || HasExtension(stem, ".ndjson")) return Format::kJsonl;
  return HasExtension(stem, ".csv") ? Format::kCsv : Format::kRaw;
}

bool IsWholeFile(Format format) { return format == Format::kJson || format == Format::kRaw; }

std::unique_ptr<RecordReader> MakeRecordReader(Format format, std::unique_ptr<ByteReader> bytes,
                                               const SourceConfig& config) {
  const uint64_t limit = config.max_record_bytes;
  if (format == Format::kJsonl) return std::make_unique<LineReader>(std::move(bytes), limit);
  if (format == Format::kCsv) return MakeCsvReader(std::move(bytes), limit);
  return std::make_unique<WholeReader>(
      std::move(bytes), format == Format::kJson ? "application/json" : config.content_type.c_str(),
      limit);
}

}  // namespace mfn::file
