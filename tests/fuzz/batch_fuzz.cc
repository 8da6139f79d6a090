// A batch that a plugin returned: counts, lengths and NULL pointers of any value, judged before
// anything follows them. Arrays are exactly as long as they can be told to be: a count within the
// bound that was asked for has to be believed.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "server/registry/batch_check.h"
#include "server/registry/text.h"

namespace {

constexpr uint64_t kMaxRecords = 16;
constexpr uint64_t kMaxAttrs = 8;

class Batch {
 public:
  explicit Batch(FuzzedDataProvider* bytes) : bytes_(*bytes) {}

  mfn_batch Make() {
    const auto count = bytes_.ConsumeIntegralInRange<uint64_t>(0, kMaxRecords);
    records_.resize(count);
    for (mfn_record& record : records_) record = Record();
    mfn_batch batch = {};
    batch.records = Maybe() ? records_.data() : nullptr;
    batch.n_records = Maybe() ? count : kMaxRecords + bytes_.ConsumeIntegral<uint32_t>() + 1;
    return batch;
  }

 private:
  bool Maybe() { return bytes_.ConsumeIntegralInRange(0, 15) != 0; }

  mfn_bytes Bytes() {
    switch (bytes_.ConsumeIntegralInRange(0, 7)) {
      case 0:
        return {nullptr, 0};
      case 1:
        return {nullptr, bytes_.ConsumeIntegral<uint64_t>()};
      case 2:  // never followed: no batch may hold that much
        return {reinterpret_cast<const uint8_t*>(""),
                UINT64_MAX - bytes_.ConsumeIntegral<uint16_t>()};
      default:
        data_.push_back(std::make_unique<std::vector<uint8_t>>(
            bytes_.ConsumeBytes<uint8_t>(bytes_.ConsumeIntegralInRange<size_t>(0, 64))));
        return {data_.back()->data(), data_.back()->size()};
    }
  }

  mfn_record Record() {
    mfn_record record = {};
    record.id = Bytes();
    record.key = Bytes();
    record.payload = Bytes();
    const auto count = bytes_.ConsumeIntegralInRange<uint64_t>(0, kMaxAttrs);
    attrs_.push_back(std::make_unique<std::vector<mfn_kv>>(count));
    for (mfn_kv& attr : *attrs_.back()) attr = {Bytes(), Bytes()};
    record.attrs = Maybe() ? attrs_.back()->data() : nullptr;
    record.n_attrs = Maybe() ? count : uint64_t{1} << bytes_.ConsumeIntegralInRange(11, 63);
    return record;
  }

  FuzzedDataProvider& bytes_;
  std::vector<mfn_record> records_;
  std::vector<std::unique_ptr<std::vector<mfn_kv>>> attrs_;
  std::vector<std::unique_ptr<std::vector<uint8_t>>> data_;
};

void Read(mfn_bytes bytes) {
  const std::string text = mfn::registry::CleanText(bytes, 32);
  if (text.size() > 32) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider bytes(data, size);
  Batch made(&bytes);
  const mfn_batch batch = made.Make();
  if (!mfn::registry::BatchFault(batch, {kMaxRecords, 1024}).empty()) return 0;
  // What passed can be read from end to end.
  for (uint64_t i = 0; i < batch.n_records; ++i) {
    const mfn_record& record = batch.records[i];
    Read(record.id);
    Read(record.key);
    Read(record.payload);
    for (uint64_t k = 0; k < record.n_attrs; ++k) {
      Read(record.attrs[k].key);
      Read(record.attrs[k].value);
    }
  }
  return 0;
}
