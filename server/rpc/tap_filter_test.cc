// Which records a tap lets through, what it keeps of them, and what it refuses to filter by.
#include "server/rpc/tap_filter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace mfn::rpc {
namespace {

using mfn::v1::TapConnectorRequest;
using mfn::v1::TappedRecord;
using registry::TapDirection;

mfn_bytes Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class TapFilterTest : public testing::Test {
 protected:
  TapFilterTest() {
    record_.id = Bytes("orders/17");
    record_.key = Bytes(key_);
    record_.payload = Bytes(payload_);
    attributes_ = {{Bytes("region"), Bytes("eu")}, {Bytes("kind"), Bytes("test")}};
    record_.attrs = attributes_.data();
    record_.n_attrs = attributes_.size();
    record_.time_unix_ns = MFN_TIME_ABSENT;
  }

  bool Matches(TapDirection direction = TapDirection::kIn) {
    const auto filter = TapFilter::FromProto(request_);
    EXPECT_TRUE(filter.ok()) << filter.status();
    return filter->Matches(direction, record_);
  }
  TappedRecord Copy(TapDirection direction, mfn_code outcome = MFN_OK) {
    TappedRecord copy;
    TapFilter::FromProto(request_)->Copy(direction, record_, outcome, absl::FromUnixSeconds(5),
                                         &copy);
    return copy;
  }

  const std::string key_ = std::string("k\0\xff", 3);
  const std::string payload_ = std::string("head\0tail", 9);
  std::vector<mfn_kv> attributes_;
  mfn_record record_ = {};
  TapConnectorRequest request_;
};

TEST_F(TapFilterTest, WithoutConditionsEverythingMatches) {
  EXPECT_TRUE(Matches(TapDirection::kIn));
  EXPECT_TRUE(Matches(TapDirection::kOut));
  record_ = {};
  EXPECT_TRUE(Matches());
}

TEST_F(TapFilterTest, EveryConditionMustHold) {
  request_.set_direction(TappedRecord::DIRECTION_IN);
  EXPECT_TRUE(Matches(TapDirection::kIn));
  EXPECT_FALSE(Matches(TapDirection::kOut));
  request_.set_record_id_prefix("orders/");
  request_.set_key_prefix(std::string("k\0", 2));
  request_.set_payload_contains(std::string("d\0t", 3));
  (*request_.mutable_attributes())["region"] = "eu";
  EXPECT_TRUE(Matches());
  (*request_.mutable_attributes())["kind"] = "real";
  EXPECT_FALSE(Matches()) << "another value";
  (*request_.mutable_attributes())["kind"] = "test";
  (*request_.mutable_attributes())["absent"] = "";
  EXPECT_FALSE(Matches()) << "an attribute that is not there";
  request_.mutable_attributes()->erase("absent");
  request_.set_payload_contains("dt");
  EXPECT_FALSE(Matches()) << "not in one piece";
  request_.clear_payload_contains();
  request_.set_key_prefix(absl::StrCat(key_, "x"));
  EXPECT_FALSE(Matches()) << "longer than the key";
  request_.clear_key_prefix();
  request_.set_record_id_prefix("rders");
  EXPECT_FALSE(Matches()) << "not at the beginning";
}

TEST_F(TapFilterTest, ACopyIsCutAndSaysSo) {
  TappedRecord copy = Copy(TapDirection::kIn);
  EXPECT_EQ(copy.record().payload(), payload_);
  EXPECT_EQ(copy.record().key(), key_);
  EXPECT_EQ(copy.record().attributes().at("kind"), "test");
  EXPECT_FALSE(copy.truncated());
  EXPECT_FALSE(copy.record().has_event_time());
  EXPECT_EQ(copy.outcome(), "") << "what is read has none";
  EXPECT_EQ(copy.time().seconds(), 5);
  request_.set_max_payload_bytes(4);
  record_.time_unix_ns = 0;
  copy = Copy(TapDirection::kOut, MFN_PERMANENT);
  EXPECT_EQ(copy.record().payload(), "head");
  EXPECT_EQ(copy.payload_size(), 9);
  EXPECT_TRUE(copy.truncated());
  EXPECT_TRUE(copy.record().has_event_time());
  EXPECT_EQ(copy.outcome(), "PERMANENT");
}

TEST_F(TapFilterTest, ManyOrForeignAttributesBecomeAMessageAllTheSame) {
  const std::string long_value(5000, 'v');
  std::vector<std::string> names;
  for (int k = 0; k < 100; ++k) names.push_back(absl::StrCat("name", k));
  attributes_.assign(1, {Bytes("\xff\xfe"), Bytes(long_value)});
  for (const std::string& name : names) attributes_.push_back({Bytes(name), Bytes("v")});
  record_.attrs = attributes_.data();
  record_.n_attrs = attributes_.size();
  const TappedRecord copy = Copy(TapDirection::kIn);
  EXPECT_EQ(copy.record().attributes_size(), 64);
  EXPECT_TRUE(copy.truncated());
  TappedRecord again;
  EXPECT_TRUE(again.ParseFromString(copy.SerializeAsString())) << "texts are UTF-8";
}

TEST_F(TapFilterTest, RefusesWhatIsOutOfBounds) {
  const auto refused = [](const std::function<void(TapConnectorRequest*)>& change) {
    TapConnectorRequest request;
    change(&request);
    return absl::IsInvalidArgument(TapFilter::FromProto(request).status());
  };
  const auto bad_ratio = [](double ratio) {
    return [ratio](TapConnectorRequest* r) { r->set_sample_ratio(ratio); };
  };
  EXPECT_TRUE(refused(bad_ratio(0)));
  EXPECT_TRUE(refused(bad_ratio(1.01)));
  EXPECT_TRUE(refused(bad_ratio(std::nan(""))));
  EXPECT_FALSE(refused(bad_ratio(1)));
  EXPECT_TRUE(refused([](auto* r) { r->set_max_records(0); }));
  EXPECT_TRUE(refused([](auto* r) { r->set_max_records(1'000'001); }));
  EXPECT_TRUE(refused([](auto* r) { r->set_max_payload_bytes(-1); }));
  EXPECT_FALSE(refused([](auto* r) { r->set_max_payload_bytes(0); }));
  EXPECT_TRUE(refused([](auto* r) { r->set_max_payload_bytes((1 << 20) + 1); }));
  EXPECT_TRUE(refused([](auto* r) { r->mutable_max_duration()->set_seconds(3601); }));
  EXPECT_TRUE(refused([](auto* r) { r->set_payload_contains(std::string(257, 'x')); }));
  EXPECT_TRUE(refused([](auto* r) { r->set_record_id_prefix(std::string(1025, 'x')); }));
  EXPECT_TRUE(refused([](auto* r) {
    for (int k = 0; k < 17; ++k) (*r->mutable_attributes())[absl::StrCat(k)] = "v";
  }));
}

}  // namespace
}  // namespace mfn::rpc
