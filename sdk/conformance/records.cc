// One mapping per batch, filled once and then protected.
#include "records.h"

#include <sys/mman.h>

#include <cstring>
#include <new>
#include <stdexcept>

namespace mfn::conformance {
namespace {

size_t SizeOf(const std::optional<std::string>& text) { return text ? text->size() + 16 : 0; }

}  // namespace

Input PlainInput() {
  return {"a plain record",
          "mfn-check@1",
          "key",
          R"({"request_id":"check-1","seed":1})",
          {{"content-type", "application/json"}}};
}

std::vector<Input> OddInputs() {
  Input absent{"a record without anything", {}, {}, {}, {}};
  Input tombstone = PlainInput();
  tombstone.what = "a tombstone";
  tombstone.payload.reset();
  Input empty{"a record of empty texts", "", "", "", {{"", ""}}};
  Input binary = PlainInput();
  binary.what = "a payload that is not UTF-8";
  binary.payload = std::string("\xff\xfe\0\x80 {", 6);
  binary.id = "mfn-check@\x01/../2";
  Input attrs = PlainInput();
  attrs.what = "an attribute without a value";
  attrs.attrs.emplace_back("mfn-check", std::nullopt);
  Input large = PlainInput();
  large.what = "a payload of 1 MiB";
  large.id = "mfn-check@3";
  large.payload = "{\"request_id\":\"" + std::string(1 << 20, 'x') + "\"}";
  return {absent, tombstone, empty, binary, attrs, large};
}

LentBatch::LentBatch(const std::vector<Input>& inputs) {
  for (const Input& input : inputs) {
    size_ += sizeof(mfn_record) + SizeOf(input.id) + SizeOf(input.key) + SizeOf(input.payload);
    for (const auto& [key, value] : input.attrs)
      size_ += sizeof(mfn_kv) + key.size() + 32 + SizeOf(value);
    size_ += 16;
  }
  if (inputs.empty()) return;
  pages_ = static_cast<char*>(
      mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (pages_ == MAP_FAILED) throw std::bad_alloc();
  auto* records = static_cast<mfn_record*>(Room(inputs.size() * sizeof(mfn_record)));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Input& input = inputs[i];
    auto* attrs = static_cast<mfn_kv*>(Room(input.attrs.size() * sizeof(mfn_kv)));
    for (size_t k = 0; k < input.attrs.size(); ++k) {
      attrs[k] = {Put(input.attrs[k].first), Put(input.attrs[k].second)};
    }
    records[i] = {Put(input.id),      Put(input.key),
                  Put(input.payload), input.attrs.empty() ? nullptr : attrs,
                  input.attrs.size(), MFN_TIME_ABSENT};
  }
  batch_.records = records;
  batch_.n_records = inputs.size();
  mprotect(pages_, size_, PROT_READ);
}

LentBatch::~LentBatch() {
  if (pages_ != nullptr) munmap(pages_, size_);
}

void LentBatch::TakeBack() {
  if (pages_ != nullptr) mprotect(pages_, size_, PROT_NONE);
}

void* LentBatch::Room(size_t bytes) {
  char* room = pages_ + used_;
  used_ += (bytes + 7) / 8 * 8;
  if (used_ > size_) throw std::logic_error("a lent batch is larger than it was counted");
  return room;
}

mfn_bytes LentBatch::Put(const std::optional<std::string>& text) {
  if (!text) return {nullptr, 0};
  void* room = Room(text->size() + 1);
  std::memcpy(room, text->data(), text->size());
  return {static_cast<const uint8_t*>(room), text->size()};
}

}  // namespace mfn::conformance
