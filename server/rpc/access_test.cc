// What the services share and needs no socket: keys, buckets, repeated requests, reading, errors.
#include "server/rpc/access.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include "mfn/v1/connector_service.pb.h"
#include "server/base/fake_clock.h"
#include "server/pipeline/codec.h"
#include "server/rpc/proto_read.h"
#include "server/rpc/request_cache.h"
#include "server/rpc/resource_proto.h"
#include "server/rpc/server.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

TEST(ConstantTimeEqual, OnlyEqualTextsAreEqual) {
  EXPECT_TRUE(ConstantTimeEqual("secret", "secret"));
  EXPECT_FALSE(ConstantTimeEqual("secret", "secres"));
  EXPECT_FALSE(ConstantTimeEqual("secretsecret", "secret"));
  EXPECT_FALSE(ConstantTimeEqual("sec", "secret"));
  EXPECT_FALSE(ConstantTimeEqual("", "secret"));
  EXPECT_FALSE(ConstantTimeEqual("", ""));
}

TEST(RateLimiter, CallersAndMethodsHaveTheirOwnBuckets) {
  FakeClock clock;
  RateLimiter limiter(1, &clock);
  EXPECT_TRUE(limiter.Take("a", "Run").ok());
  EXPECT_FALSE(limiter.Take("a", "Run").ok());
  EXPECT_TRUE(limiter.Take("b", "Run").ok());
  EXPECT_TRUE(limiter.Take("a", "List").ok());
  clock.Advance(absl::Seconds(100));
  EXPECT_TRUE(limiter.Take("a", "Run").ok());
  EXPECT_FALSE(limiter.Take("a", "Run").ok());  // a bucket holds no more than its capacity
}

TEST(RateLimiter, MemoryIsBounded) {
  FakeClock clock;
  RateLimiter limiter(1, &clock);
  for (size_t k = 0; k < RateLimiter::kMaxBuckets + 50; ++k) {
    clock.Advance(absl::Nanoseconds(1));
    EXPECT_TRUE(limiter.Take(std::to_string(k), "Run").ok());
  }
  EXPECT_EQ(limiter.buckets(), RateLimiter::kMaxBuckets);
}

TEST(Access, ANewConnectionIsNoNewCaller) {
  FakeClock clock;
  ServerConfig config;
  config.rate_limit_enabled = true;
  config.rate_limit_per_second = 1;
  Access access(config, &clock);
  std::string caller;
  EXPECT_TRUE(access.Admit("", "ipv4:10.0.0.1:1000", "Run", &caller).ok());
  EXPECT_EQ(caller, "ipv4:10.0.0.1");
  EXPECT_FALSE(access.Admit("", "ipv4:10.0.0.1:1001", "Run", &caller).ok());
  EXPECT_TRUE(access.Admit("", "ipv4:10.0.0.2:1001", "Run", &caller).ok());
}

class RequestCacheTest : public ::testing::Test {
 protected:
  absl::Status Create(const std::string& id, const std::string& type, absl::Status outcome = {}) {
    mfn::v1::CreateConnectorRequest request;
    request.set_request_id(id);
    request.mutable_connector()->set_type(type);
    response_.Clear();
    return cache_.Once("caller", "Create", id, request, &response_, [&] {
      response_.set_etag(std::to_string(++made_));
      return outcome;
    });
  }

  FakeClock clock_;
  RequestCache cache_{&clock_};
  mfn::v1::Connector response_;
  int made_ = 0;
};

TEST_F(RequestCacheTest, ARepetitionGetsTheFirstReply) {
  EXPECT_TRUE(Create("x", "file").ok());
  EXPECT_TRUE(Create("x", "file").ok());
  EXPECT_EQ(made_, 1);
  EXPECT_EQ(response_.etag(), "1");
  EXPECT_EQ(pipeline::ReasonOf(Create("x", "memory")), "REQUEST_ID_REUSED");
  EXPECT_TRUE(Create("", "file").ok());
  EXPECT_TRUE(Create("", "file").ok());
  EXPECT_EQ(made_, 3);
}

TEST_F(RequestCacheTest, FailuresCanBeRepeatedAndRepliesExpire) {
  EXPECT_FALSE(Create("x", "file", absl::UnavailableError("no")).ok());
  EXPECT_TRUE(Create("x", "file").ok());
  EXPECT_EQ(made_, 2);
  clock_.Advance(absl::Minutes(11));
  EXPECT_TRUE(Create("x", "file").ok());
  EXPECT_EQ(made_, 3);
}

TEST_F(RequestCacheTest, KeepsABoundedNumber) {
  for (size_t k = 0; k <= RequestCache::kMaxEntries; ++k) {
    EXPECT_TRUE(Create("id" + std::to_string(k), "file").ok());
  }
  const int before = made_;
  EXPECT_TRUE(Create("id" + std::to_string(RequestCache::kMaxEntries), "file").ok());
  EXPECT_EQ(made_, before);
  EXPECT_TRUE(Create("id0", "file").ok());  // the oldest was forgotten
  EXPECT_EQ(made_, before + 1);
}

TEST(Page, TokensAreOpaqueAndChecked) {
  auto page = ReadPage(0, "");
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->size, 50u);
  page = ReadPage(7, PageToken("some-name"));
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->after, "some-name");
  for (const char* bad : {"some-name", "!!!", "cDI6eA"}) {
    EXPECT_EQ(pipeline::FieldOf(ReadPage(7, bad).status()), "page_token") << bad;
  }
  EXPECT_EQ(pipeline::FieldOf(ReadPage(-1, "").status()), "page_size");
  EXPECT_EQ(pipeline::FieldOf(ReadPage(1001, "").status()), "page_size");
}

TEST(Names, CollectionAndIdAreChecked) {
  EXPECT_EQ(*ReadName("connectors/api-1", "connectors", "name"), "api-1");
  for (const char* bad : {"api", "pipelines/api", "connectors/", "connectors/A", "connectors/-a",
                          "connectors/a/b", "connectors/a b"}) {
    EXPECT_EQ(pipeline::FieldOf(ReadName(bad, "connectors", "name").status()), "name") << bad;
  }
  EXPECT_FALSE(ReadName("connectors/" + std::string(64, 'a'), "connectors", "name").ok());
}

TEST(Connector, DefaultsAreThoseOfTheFile) {
  mfn::v1::Connector connector;
  connector.set_type("file");
  auto config = ConnectorFromProto("api", connector);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->retry.max_retries, RetryConfig().max_retries);
  EXPECT_EQ(config->timeout, InstanceConfig().timeout);
  EXPECT_EQ(config->config_json, "{}");
}

TEST(Connector, SurvivesTheStoreAndTheWayBack) {
  mfn::v1::Connector connector;
  connector.set_role(mfn::v1::Connector::ROLE_PUBLISHER);
  connector.set_type("file");
  connector.set_batch_size(7);
  connector.mutable_retry_policy()->set_backoff(mfn::v1::RetryPolicy::BACKOFF_FIXED);
  connector.mutable_retry_policy()->set_jitter(mfn::v1::RetryPolicy::JITTER_NONE);
  (*connector.mutable_config_data()->mutable_fields())["path"].set_string_value("x");
  auto config = ConnectorFromBody(BodyOf("out", connector));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name, "out");
  EXPECT_EQ(config->role, InstanceRole::kPublisher);
  EXPECT_EQ(config->retry.backoff, BackoffKind::kFixed);
  mfn::v1::Connector back;
  ToProto(*config, config->config_json, &back);
  EXPECT_EQ(back.name(), "connectors/out");
  EXPECT_EQ(back.batch_size(), 7);
  EXPECT_EQ(back.retry_policy().jitter(), mfn::v1::RetryPolicy::JITTER_NONE);
  EXPECT_EQ(back.config_data().fields().at("path").string_value(), "x");
}

TEST(Connector, BadValuesNameTheirField) {
  mfn::v1::Connector connector;
  EXPECT_EQ(pipeline::FieldOf(ConnectorFromProto("a", connector).status()), "connector.type");
  connector.set_type("file");
  EXPECT_EQ(pipeline::FieldOf(ConnectorFromProto("A", connector).status()), "connector_id");
  connector.set_batch_size(5);
  EXPECT_EQ(pipeline::FieldOf(ConnectorFromProto("a", connector).status()), "connector.role");
  connector.clear_batch_size();
  connector.mutable_timeout()->set_seconds(-1);
  EXPECT_EQ(pipeline::FieldOf(ConnectorFromProto("a", connector).status()), "connector.timeout");
  connector.mutable_timeout()->set_seconds(1);
  connector.mutable_retry_policy()->set_max_retries(101);
  EXPECT_EQ(pipeline::FieldOf(ConnectorFromProto("a", connector).status()),
            "connector.retry_policy.max_retries");
}

TEST(Pipeline, ReadsReferencesAndRefusesDuplicates) {
  mfn::v1::Pipeline proto;
  proto.set_source("connectors/in");
  proto.add_sinks()->set_publisher("out");
  auto config = PipelineFromProto("p", proto);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->source, "in");
  EXPECT_TRUE(config->sinks[0].required);
  EXPECT_TRUE(config->autostart);
  proto.add_sinks()->set_publisher("connectors/out");
  EXPECT_EQ(pipeline::FieldOf(PipelineFromProto("p", proto).status()),
            "pipeline.sinks[1].publisher");
  proto.clear_sinks();
  EXPECT_EQ(pipeline::FieldOf(PipelineFromProto("p", proto).status()), "pipeline.sinks");
}

TEST(Status, ErrorsFitIntoHeadersAndKeepTheirReason) {
  const grpc::Status status =
      ToGrpc(pipeline::FieldError("grid_size", "OUT_OF_RANGE", std::string(100'000, 'x')));
  EXPECT_LT(status.error_message().size() + status.error_details().size(), 6000u);
  google::rpc::Status detailed;
  ASSERT_TRUE(detailed.ParseFromString(status.error_details()));
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(detailed.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "OUT_OF_RANGE");
  EXPECT_EQ(info.domain(), "mfn.dev");
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
}

TEST(Server, KnowsWhatOnlyThisMachineReaches) {
  for (const char* yes : {"127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/tmp/x"}) {
    EXPECT_TRUE(IsLoopback(yes)) << yes;
  }
  for (const char* no : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.com:1", "localhost.evil:1",
                         "127.evil.com:1"}) {
    EXPECT_FALSE(IsLoopback(no)) << no;
  }
}

}  // namespace
}  // namespace mfn::rpc
