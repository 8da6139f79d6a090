// Reading and building records and batches. Part of mfn/plugin.hpp.
#ifndef MFN_SDK_BATCH_HPP_
#define MFN_SDK_BATCH_HPP_

#include <mfn/plugin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mfn::sdk {

// Absent bytes read as an empty view; use RecordView::has_* where the difference matters.
inline std::string_view ToView(mfn_bytes bytes) {
  if (bytes.data == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes.data), static_cast<size_t>(bytes.len)};
}

// Present bytes, borrowed: never NULL, also for an empty view.
inline mfn_bytes ToBytes(std::string_view view) {
  const char* data = view.data() == nullptr ? "" : view.data();
  return {reinterpret_cast<const uint8_t*>(data), view.size()};
}

// A record of the host, borrowed until the call returns.
class RecordView {
 public:
  explicit RecordView(const mfn_record* record) : record_(record) {}

  std::string_view id() const { return ToView(record_->id); }
  std::string_view key() const { return ToView(record_->key); }
  std::string_view payload() const { return ToView(record_->payload); }
  bool has_key() const { return record_->key.data != nullptr; }
  bool has_payload() const { return record_->payload.data != nullptr; }  // false: a tombstone
  // Event time, nanoseconds since the Unix epoch.
  std::optional<int64_t> time_unix_ns() const {
    if (record_->time_unix_ns == MFN_TIME_ABSENT) return std::nullopt;
    return record_->time_unix_ns;
  }
  uint64_t attr_count() const { return record_->n_attrs; }
  std::pair<std::string_view, std::string_view> attr(uint64_t index) const {
    return {ToView(record_->attrs[index].key), ToView(record_->attrs[index].value)};
  }
  // The first attribute with that key.
  std::optional<std::string_view> attr(std::string_view key) const {
    for (uint64_t i = 0; i < record_->n_attrs; ++i) {
      if (ToView(record_->attrs[i].key) == key) return ToView(record_->attrs[i].value);
    }
    return std::nullopt;
  }
  const mfn_record& raw() const { return *record_; }

 private:
  const mfn_record* record_;
};

// A batch of the host, borrowed until the call returns.
class BatchView {
 public:
  explicit BatchView(const mfn_batch* batch) : batch_(batch) {}

  class Iterator {
   public:
    explicit Iterator(const mfn_record* at) : at_(at) {}
    RecordView operator*() const { return RecordView(at_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const mfn_record* at_;
  };

  uint64_t size() const { return batch_->n_records; }
  bool empty() const { return size() == 0; }
  RecordView operator[](uint64_t index) const { return RecordView(batch_->records + index); }
  Iterator begin() const { return Iterator(batch_->records); }
  Iterator end() const { return Iterator(batch_->records + batch_->n_records); }

 private:
  const mfn_batch* batch_;
};

// The outcomes of an ack, one per record of the batch.
class Outcomes {
 public:
  Outcomes(const mfn_code* codes, uint64_t n) : codes_(codes), n_(n) {}
  // The host sends no codes when every record is MFN_OK.
  bool all_ok() const {
    return codes_ == nullptr ||
           std::all_of(codes_, codes_ + n_, [](mfn_code code) { return code == MFN_OK; });
  }
  // Of the record with that index in its batch. A code that this header does not know: PERMANENT.
  mfn_code operator[](uint64_t index) const {
    if (codes_ == nullptr || index >= n_) return MFN_OK;
    return codes_[index] < MFN_OK || codes_[index] > MFN_UNSUPPORTED ? MFN_PERMANENT
                                                                     : codes_[index];
  }

 private:
  const mfn_code* codes_;
  uint64_t n_;
};

// Collects records and owns their bytes. Every text that is given is copied, except by the
// overload that takes a std::string&& payload, which is moved. Not thread-safe.
//
//   out.Lane(3).AckId(7);
//   out.Add().Id("orders/3@42").Payload(std::move(text)).Attr("content-type", "application/json");
class BatchBuilder {
 public:
  // The record that was added last or earlier; stays valid while the builder does.
  class Record {
   public:
    // Stable position of the record, unique for ever in the source; required from a source.
    Record& Id(std::string_view id) { return Set(&mfn_record::id, id); }
    Record& Key(std::string_view key) { return Set(&mfn_record::key, key); }
    // A record without Payload is a tombstone.
    Record& Payload(std::string_view bytes) {
      owner_->bytes_ += bytes.size();
      return Set(&mfn_record::payload, bytes);
    }
    Record& Payload(const char* text) { return Payload(std::string_view(text)); }
    Record& Payload(std::string&& bytes) {
      owner_->bytes_ += bytes.size();
      at().payload = ToBytes(owner_->storage_->strings.emplace_back(std::move(bytes)));
      return *this;
    }
    Record& Attr(std::string_view key, std::string_view value) {
      Storage& storage = *owner_->storage_;
      storage.attrs[index_].push_back({storage.Copy(key), storage.Copy(value)});
      return *this;
    }
    // Nanoseconds since the Unix epoch.
    Record& Time(int64_t unix_ns) {
      at().time_unix_ns = unix_ns;
      return *this;
    }

   private:
    friend class BatchBuilder;
    Record(BatchBuilder* owner, size_t index) : owner_(owner), index_(index) {}
    mfn_record& at() { return owner_->storage_->records[index_]; }
    Record& Set(mfn_bytes mfn_record::*member, std::string_view value) {
      at().*member = owner_->storage_->Copy(value);
      return *this;
    }
    BatchBuilder* owner_;
    size_t index_;
  };

  BatchBuilder() = default;
  BatchBuilder(const BatchBuilder&) = delete;
  BatchBuilder& operator=(const BatchBuilder&) = delete;

  Record Add() {
    if (storage_ == nullptr) storage_ = std::make_unique<Storage>();
    mfn_record record = {};
    record.time_unix_ns = MFN_TIME_ABSENT;
    storage_->records.push_back(record);
    storage_->attrs.emplace_back();
    return Record(this, storage_->records.size() - 1);
  }
  // Records of one lane are acked in order. Default 0.
  BatchBuilder& Lane(uint64_t lane) {
    lane_ = lane;
    return *this;
  }
  // MFN_LANE_UNORDERED, MFN_LANE_REVOKED, MFN_LANE_LOST.
  BatchBuilder& Flags(uint64_t flags) {
    flags_ = flags;
    return *this;
  }
  // Unique among the unacked batches of the source; comes back in Ack.
  BatchBuilder& AckId(uint64_t ack_id) {
    ack_id_ = ack_id;
    return *this;
  }
  uint64_t size() const { return storage_ == nullptr ? 0 : storage_->records.size(); }
  bool empty() const { return size() == 0; }
  uint64_t payload_bytes() const { return bytes_; }

  // Hands everything over; the batch's release frees it. The builder is empty afterwards. If this
  // throws (no memory), *out is untouched.
  void MoveTo(mfn_batch* out) {
    mfn_batch batch = {};
    batch.lane = lane_;
    batch.flags = flags_;
    batch.ack_id = ack_id_;
    if (storage_ != nullptr) {
      for (size_t i = 0; i < storage_->records.size(); ++i) {
        storage_->records[i].attrs =
            storage_->attrs[i].empty() ? nullptr : storage_->attrs[i].data();
        storage_->records[i].n_attrs = storage_->attrs[i].size();
      }
      batch.records = storage_->records.data();
      batch.n_records = storage_->records.size();
      batch.release = Release;
      batch.private_data = storage_.release();
    }
    *out = batch;
    bytes_ = 0;
  }

 private:
  struct Storage {
    std::vector<mfn_record> records;
    std::vector<std::vector<mfn_kv>> attrs;  // per record; moving an inner vector keeps its data
    std::deque<std::string> strings;         // a deque: addresses stay when it grows
    std::vector<std::unique_ptr<char[]>> blocks;
    size_t used = 0, capacity = 0;  // of the last block

    mfn_bytes Copy(std::string_view text) {
      if (text.empty()) return ToBytes("");
      if (capacity - used < text.size()) {
        size_t size = std::max<size_t>(text.size(), kBlockBytes);
        blocks.push_back(std::make_unique<char[]>(size));
        used = 0;
        capacity = size;
      }
      char* at = blocks.back().get() + used;
      std::memcpy(at, text.data(), text.size());
      used += text.size();
      return ToBytes(std::string_view(at, text.size()));
    }
  };
  static constexpr size_t kBlockBytes = 4096;

  static void Release(mfn_batch* batch) noexcept {
    delete static_cast<Storage*>(batch->private_data);
    batch->private_data = nullptr;
    batch->release = nullptr;
  }

  std::unique_ptr<Storage> storage_;
  uint64_t lane_ = 0, flags_ = 0, ack_id_ = 0, bytes_ = 0;
};

}  // namespace mfn::sdk

#endif  // MFN_SDK_BATCH_HPP_
