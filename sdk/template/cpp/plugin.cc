// A starter: a source that counts to a limit, and a sink that counts what it is given.
#include <cstdlib>
#include <memory>
#include <mfn/plugin.hpp>
#include <string>
#include <string_view>

using mfn::sdk::BatchBuilder;
using mfn::sdk::BatchView;
using mfn::sdk::Call;
using mfn::sdk::Host;
using mfn::sdk::Outcomes;
using mfn::sdk::Status;

class Counter final : public mfn::sdk::Source, public mfn::sdk::Sink {
 public:
  static constexpr const char* kType = "counter";
  static constexpr const char* kSummary = "Counts: a source of numbers, a sink that counts";
  static constexpr const char* kSchema = R"({
    "type": "object", "additionalProperties": false,
    "properties": {"limit": {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 10}}
  })";

  static Status Create(Host host, std::string_view config, std::unique_ptr<Counter>* out) {
    auto counter = std::make_unique<Counter>();
    // The config is valid by the schema. A real plugin uses a JSON library.
    const size_t at = config.find("\"limit\":");
    if (at != std::string_view::npos) {
      counter->limit_ = std::strtoull(std::string(config.substr(at + 8)).c_str(), nullptr, 10);
    }
    counter->written_ = host.Counter("records_counted");
    *out = std::move(counter);
    return Status::Ok();
  }

  Status Read(Call&, uint64_t max_records, uint64_t max_bytes, BatchBuilder& out) override {
    if (max_records == 0) return Status::Ok();
    if (next_ == limit_) return Status::End();
    do {
      const std::string number = std::to_string(++next_);
      out.Add().Id("counter@" + number).Payload(number).Attr("content-type", "application/json");
    } while (next_ < limit_ && out.size() < max_records && out.payload_bytes() < max_bytes);
    out.AckId(next_);
    return Status::Ok();
  }
  // A source that can look back would give RETRYABLE records again; numbers are gone when given.
  Status Ack(Call&, uint64_t, Outcomes) override { return Status::Ok(); }

  Status Write(Call& call, BatchView batch) override {
    for (uint64_t i = 0; i < batch.size(); ++i) {
      if (!batch[i].has_payload()) {
        call.FailRecord(i, Status::Permanent("NO_PAYLOAD", "the record is a tombstone"));
      }
    }
    written_.Add(static_cast<double>(batch.size()));
    return Status::Ok();
  }

 private:
  uint64_t limit_ = 10, next_ = 0;
  mfn::sdk::Metric written_;
};

MFN_PLUGIN("org.example.starter", "0.1.0", "Example", "MIT", Counter)
