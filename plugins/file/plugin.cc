// The file plugin: one component, "file", which is a source as a connector and a sink as a
// publisher.
#include "mfn/plugin.hpp"

#include <ctime>
#include <memory>
#include <string_view>

#include "plugins/file/config.h"
#include "plugins/file/sink.h"
#include "plugins/file/source.h"
#include "schema_json.h"

namespace {

using mfn::sdk::Status;

// The host does not tell a component its role; the first function that it calls does. Only Check
// may come before, and it asks whether the path can be used at all.
class File final : public mfn::sdk::Source, public mfn::sdk::Sink {
 public:
  static constexpr const char* kType = "file";
  static constexpr const char* kSummary = "Files of a directory: JSON, JSON lines, CSV, raw";
  static constexpr const char* kSchema = k_schema_json;
  // Acks wait for the disk; reading goes on meanwhile.
  static constexpr uint32_t kFlags = MFN_CONCURRENT_ACK;

  static Status Validate(mfn::sdk::Host, std::string_view json) {
    mfn::file::Config config;
    return mfn::file::ParseConfig(json, &config);
  }

  static Status Create(mfn::sdk::Host host, std::string_view json, std::unique_ptr<File>* out) {
    mfn::file::Config config;
    if (Status s = mfn::file::ParseConfig(json, &config); !s.ok()) return s;
    auto file = std::make_unique<File>();
    if (config.may_read) {
      file->source_ = std::make_unique<mfn::file::FileSource>(std::move(config.source), host);
    }
    if (config.may_write) {
      file->sink_ = std::make_unique<mfn::file::FileSink>(std::move(config.sink), host,
                                                          [] { return std::time(nullptr); });
    }
    *out = std::move(file);
    return Status::Ok();
  }

  Status Check(mfn::sdk::Call&) override {
    if (source_ == nullptr) return sink_->Check();
    return sink_ == nullptr ? source_->Check() : Status::Ok();
  }

  Status Connect(mfn::sdk::Call& call) override {
    reading_ = writing_ = false;
    if (source_ == nullptr) return StartWriting(call);
    return sink_ == nullptr ? StartReading(call) : Status::Ok();
  }

  Status Read(mfn::sdk::Call& call, uint64_t max_records, uint64_t max_bytes,
              mfn::sdk::BatchBuilder& out) override {
    if (source_ == nullptr) {
      return Status::Permanent("WRONG_ROLE", "this file instance is configured as a publisher");
    }
    if (Status s = StartReading(call); !s.ok()) return s;
    return source_->Read(call, max_records, max_bytes, out);
  }
  Status Ack(mfn::sdk::Call& call, uint64_t ack_id, mfn::sdk::Outcomes outcomes) override {
    return source_->Ack(call, ack_id, outcomes);
  }
  Status Write(mfn::sdk::Call& call, mfn::sdk::BatchView batch) override {
    if (sink_ == nullptr) {
      return Status::Permanent("WRONG_ROLE", "this file instance is configured as a connector");
    }
    if (Status s = StartWriting(call); !s.ok()) return s;
    return sink_->Write(call, batch);
  }

 private:
  Status StartReading(mfn::sdk::Call& call) {
    if (reading_) return Status::Ok();
    Status status = source_->Connect(call);
    reading_ = status.ok();
    return status;
  }
  Status StartWriting(mfn::sdk::Call& call) {
    if (writing_) return Status::Ok();
    Status status = sink_->Connect(call);
    writing_ = status.ok();
    return status;
  }

  std::unique_ptr<mfn::file::FileSource> source_;  // null: publisher only
  std::unique_ptr<mfn::file::FileSink> sink_;      // null: connector only
  bool reading_ = false, writing_ = false;         // connected as; [worker]
};

}  // namespace

MFN_PLUGIN("org.mfnd.file", "0.1.0", "mfnd", "MIT", File)
