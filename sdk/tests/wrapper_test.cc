// The C++ wrapper, called as a host calls it: through the C tables only.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <mfn/plugin.hpp>
#include <mfn/testing.hpp>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using mfn::sdk::BatchBuilder;
using mfn::sdk::Call;
using mfn::sdk::Status;
using mfn::sdk::testing::Host;
using mfn::sdk::testing::Instance;
using mfn::sdk::testing::Result;

// Does what its config or the record's payload says.
class Probe final : public mfn::sdk::Source, public mfn::sdk::Sink {
 public:
  static constexpr const char* kType = "probe";
  static constexpr const char* kSummary = "";
  static constexpr const char* kSchema = "{}";
  static constexpr uint32_t kFlags = MFN_DEDUPS_BY_KEY;
  static constexpr uint32_t kMaxInFlight = 4;

  explicit Probe(mfn::sdk::Host host) : host_(host) { ++alive; }
  ~Probe() override { --alive; }
  static Status Validate(mfn::sdk::Host, std::string_view json) {
    return json == "bad" ? Status::InvalidConfig("/x", "is bad") : Status::Ok();
  }
  static Status Create(mfn::sdk::Host host, std::string_view json, std::unique_ptr<Probe>* out) {
    *out = std::make_unique<Probe>(host);
    if (json == "throw") throw std::runtime_error("create threw");
    return Status::Ok();
  }
  Status Read(Call& call, uint64_t max, uint64_t, BatchBuilder& out) override {
    for (uint64_t i = 0; i < max; ++i) {
      out.Add()
          .Id(std::to_string(i))
          .Payload(std::string(i * 100, 'x'))
          .Attr("a", std::to_string(i));
    }
    out.Add().Id("tombstone").Key("");
    out.Lane(7).AckId(8).Flags(MFN_LANE_UNORDERED);
    if (max == 3) throw std::runtime_error("late");
    return call.over() ? Status::End() : Status::Ok();
  }
  Status Ack(Call&, uint64_t, mfn::sdk::Outcomes outcomes) override {
    if (outcomes.all_ok()) return Status::Ok();
    return Status::Throttled("SLOW", std::to_string(outcomes[1]) + std::to_string(outcomes[9]),
                             250);
  }
  Status Write(Call& call, mfn::sdk::BatchView batch) override {
    for (uint64_t i = 0; i < batch.size(); ++i) {
      const std::string_view what = batch[i].payload();
      if (what == "fail") call.FailRecord(i, Status::Permanent("NO", "not this one"));
      if (what == "bad_alloc") throw std::bad_alloc();
      if (what == "int") throw 42;
      if (what == "wait") {
        pollfd over = {call.cancel_fd(), POLLIN, 0};
        if (poll(&over, 1, 60000) != 1 || !call.cancelled()) return Status::Ok();
        return Status::Cancelled();
      }
      if (what == "secret") {
        std::string value = "as created";
        if (Status s = host_.secrets().Resolve("/token", &value); !s.ok()) return s;
        return Status::Retryable("GOT", value);
      }
      if (what == "state") {
        if (Status s = host_.state().Put("k", "v"); !s.ok()) return s;
        std::optional<std::string> value;
        host_.state().Get("k", &value);
        std::vector<std::pair<std::string, std::string>> all;
        host_.state().List("", &all);
        return Status::Retryable("GOT", *value + std::to_string(all.size()));
      }
    }
    return Status::Ok();
  }
  static int alive;

 private:
  mfn::sdk::Host host_;
};
int Probe::alive = 0;

}  // namespace

MFN_PLUGIN("org.mfnd.probe", "1", "mfnd", "MIT", Probe)

namespace {

const mfn_component& Component() { return *mfn_plugin_entry_v1(0)->components[0]; }

TEST(Wrapper, DescribesWhatTheClassIs) {
  const mfn_plugin* plugin = mfn_plugin_entry_v1(0);
  EXPECT_EQ(plugin, mfn_plugin_entry_v1(99)) << "static data";
  EXPECT_EQ(plugin->struct_size, sizeof(mfn_plugin));
  const mfn_component& c = Component();
  EXPECT_EQ(c.struct_size, sizeof(mfn_component));
  EXPECT_EQ(c.flags, static_cast<uint32_t>(MFN_DEDUPS_BY_KEY));
  EXPECT_NE(c.source, nullptr);
  EXPECT_EQ(c.sink->max_in_flight, 4u);
  EXPECT_EQ(c.executor, nullptr);
}

TEST(Wrapper, BatchesOwnTheirBytesAndKeepAbsentAndEmptyApart) {
  Host host;
  Instance probe(host, Component(), "{}");
  Result result = probe.Read(100, 0, std::chrono::seconds(60));
  ASSERT_EQ(result.size(), 101u);
  EXPECT_EQ(result.lane(), 7u);
  EXPECT_EQ(result.ack_id(), 8u);
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(result.records()[i].payload().size(), i * 100);
    EXPECT_EQ(*result.records()[i].attr("a"), std::to_string(i));
  }
  EXPECT_TRUE(result.records()[0].has_payload()) << "empty, but there";
  EXPECT_FALSE(result.records()[0].has_key());
  EXPECT_FALSE(result.records()[100].has_payload());
  EXPECT_TRUE(result.records()[100].has_key());
  EXPECT_EQ(result.records()[100].time_unix_ns(), std::nullopt);
}

TEST(Wrapper, NoExceptionLeavesAndNothingIsHandedOutAfterOne) {
  Host host;
  Instance probe(host, Component(), "{}");
  Result result = probe.Read(3, 0, std::chrono::seconds(60));
  EXPECT_EQ(result.status.code, MFN_PERMANENT);
  EXPECT_EQ(result.status.message, "late");
  EXPECT_EQ(result.size(), 0u);
  EXPECT_EQ(probe.Write({{"1", "bad_alloc"}}).code, MFN_RETRYABLE);
  EXPECT_EQ(probe.Write({{"1", "int"}}).code, MFN_PERMANENT);
}

TEST(Wrapper, ACreateThatThrowsLeaksNothing) {
  Host host;
  EXPECT_THROW(Instance(host, Component(), "throw"), std::runtime_error);
  EXPECT_EQ(Probe::alive, 0);
}

TEST(Wrapper, FailuresCarryEverything) {
  Host host;
  EXPECT_TRUE(Instance::Validate(host, Component(), "{}").ok());
  EXPECT_EQ(Instance::Validate(host, Component(), "bad").field, "/x");
  Instance probe(host, Component(), "{}");
  EXPECT_TRUE(probe.Ack(1).ok());
  const Status status = probe.Ack(1, {MFN_OK, 99});
  EXPECT_EQ(status.code, MFN_THROTTLED);
  EXPECT_EQ(status.retry_after_ms, 250);
  EXPECT_EQ(status.message, "30") << "an unknown code is PERMANENT, one that is missing OK";
  std::map<uint64_t, Status> failed;
  EXPECT_TRUE(probe.Write({{"1", ""}, {"2", "fail"}}, &failed).ok());
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[1].reason, "NO");
}

TEST(Wrapper, StateRoundTripsAndReportsItsFailure) {
  Host host;
  Instance probe(host, Component(), "{}");
  EXPECT_EQ(probe.Write({{"1", "state"}}).message, "v1");
  host.put_code = MFN_RETRYABLE;
  EXPECT_EQ(probe.Write({{"1", "state"}}).reason, "STATE_UNAVAILABLE");
}

TEST(Wrapper, SecretsAreThoseOfNow) {
  Host host;
  Instance probe(host, Component(), "{}");
  EXPECT_EQ(probe.Write({{"1", "secret"}}).field, "/token") << "nothing to be had";
  host.secrets()["/token"] = "rotated";
  EXPECT_EQ(probe.Write({{"1", "secret"}}).message, "rotated");
  host.keep_secrets = false;
  EXPECT_EQ(probe.Write({{"1", "secret"}}).message, "as created");
}

TEST(Wrapper, TheEndOfACallWakesAPoll) {
  Host host;
  Instance probe(host, Component(), "{}");
  probe.cancel = true;
  EXPECT_EQ(probe.Write({{"1", "wait"}}).code, MFN_CANCELLED);
  probe.cancel = false;
  std::thread later([&] { probe.cancel = true; });
  EXPECT_EQ(probe.Write({{"1", "wait"}}).code, MFN_CANCELLED);
  later.join();
}

TEST(Wrapper, DeadlineAndCancelReachTheCall) {
  Host host;
  Instance probe(host, Component(), "{}");
  EXPECT_EQ(probe.Read(1, 0, std::chrono::seconds(0)).status.code, MFN_END);
  EXPECT_EQ(probe.Read(1, 0, std::chrono::hours(1)).status.code, MFN_OK);
  probe.cancel = true;
  EXPECT_EQ(probe.Read(1, 0, std::chrono::hours(1)).status.code, MFN_END);
}

}  // namespace
