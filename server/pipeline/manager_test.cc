// The manager on real parts: the real registry, the real file plugin as a shared object, the real
// store.

#include "server/pipeline/manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "server/pipeline/codec.h"
#include "server/pipeline/test_support.h"
#include "server/registry/registry.h"

namespace mfn::pipeline {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class ManagerTest : public testing::Test {
 protected:
  void SetUp() override {
    store_ = std::move(store::Store::Open(directory_.path() + "/state").value());
    registry::RegistryOptions options;
    options.state = &store_->state();
    registry_ = registry::Registry::Create(options);
    const absl::Status loaded = registry_->LoadFile(MFN_FILE_PLUGIN);
    ASSERT_TRUE(loaded.ok()) << loaded;
    ASSERT_TRUE(registry_->LoadFile(MFN_MEMORY_PLUGIN).ok());
    Connector("inbox");
    Publisher("outbox");
    PipelineManager::Options parts;
    parts.registry = registry_.get();
    parts.store = store_.get();
    manager_ = MakeManager(parts, Tuning());
  }
  void TearDown() override {
    manager_.reset();
    registry_.reset();
  }

  std::string Folder(const std::string& name) const { return directory_.path() + "/" + name; }

  void Connector(const std::string& name) {
    std::filesystem::create_directories(Folder(name));
    Make(name, InstanceRole::kConnector,
         {{"path", Folder(name)}, {"mode", "once"}, {"settle_ms", 0}});
  }
  void Publisher(const std::string& name) {
    Make(name, InstanceRole::kPublisher,
         {{"path", Folder(name)}, {"format", "jsonl"}, {"filename", "results.jsonl"}});
  }
  void Make(const std::string& name, InstanceRole role, const json& config,
            const std::string& type = "file") {
    InstanceConfig instance;
    instance.name = name;
    instance.role = role;
    instance.type = type;
    instance.batch_size = 4;
    instance.retry.max_retries = 1;
    instance.retry.initial_delay = absl::Milliseconds(1);
    instance.breaker.timeout = absl::Milliseconds(20);
    instance.config_json = config.dump();
    const auto made = registry_->CreateInstance(instance);
    ASSERT_TRUE(made.ok()) << made.status();
  }

  void Drop(const std::string& name, const std::string& text) {
    std::ofstream(Folder("inbox") + "/" + name) << text;
  }
  std::vector<json> Results() const {
    std::vector<json> rows;
    std::ifstream file(Folder("outbox") + "/results.jsonl");
    for (std::string line; std::getline(file, line);) rows.push_back(json::parse(line));
    return rows;
  }
  PipelineConfig Config(const std::string& name = "main") const {
    PipelineConfig config;
    config.name = name;
    config.source = "inbox";
    config.sinks = {{"outbox", true}};
    return config;
  }
  bool Reaches(PipelineState state) {
    return Eventually([&] { return manager_->Status("main")->state == state; });
  }

  TestDirectory directory_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<registry::Registry> registry_;
  std::unique_ptr<PipelineManager> manager_;
};

TEST_F(ManagerTest, RequestsInFilesBecomeTheReferencesResultsInAFile) {
  Drop("a.json", R"({"request_id": "a", "seed": 42})");
  Drop("b.jsonl",
       "{\"request_id\": \"b\", \"seed\": 42}\n{\"request_id\": \"bad\", \"alpha\": 3}\n");
  ASSERT_TRUE(manager_->Create(Config()).ok());
  EXPECT_EQ(manager_->Status("main")->state, PipelineState::kStopped) << "made, not started";
  ASSERT_TRUE(manager_->Start("main").ok());
  ASSERT_TRUE(Reaches(PipelineState::kFinished)) << manager_->Status("main")->error;
  const std::vector<json> rows = Results();
  ASSERT_EQ(rows.size(), 2u);
  for (const json& row : rows) {
    EXPECT_EQ(row["growth_events"], 14);
    EXPECT_EQ(row["statistics"]["field_mean_v"], -0.07003076248064738);
    EXPECT_EQ(row["features"]["V_std"], 0.3302476077214527);
  }
  EXPECT_NE(rows[0]["idempotency_key"], rows[1]["idempotency_key"]);
  const auto status = manager_->Status("main");
  EXPECT_EQ(status->counts.delivered, 2u);
  EXPECT_EQ(status->counts.dead_lettered, 1u);
  EXPECT_EQ(status->records_acked, 3u);
}

// Every second call of the publisher fails, so that retries, the breaker and parking all have their
// turn.
TEST_F(ManagerTest, FromQueueToQueueThroughFaultsNothingIsLostAndEveryResultIsRight) {
  constexpr int kRequests = 40;
  const std::string queue = directory_.path();  // unlike any other test's
  json requests = json::array();
  for (int k = 0; k < kRequests; ++k) {
    requests.push_back({{"request_id", std::to_string(k)}, {"seed", 42}});
  }
  Make("queue-in", InstanceRole::kConnector,
       {{"queue", queue + "/in"}, {"requests", requests}, {"end_when_empty", true}}, "memory");
  Make("queue-out", InstanceRole::kPublisher,
       {{"queue", queue + "/out"}, {"fail_every", 2}, {"fail_code", "NOT_CONNECTED"}}, "memory");
  Make("probe", InstanceRole::kConnector, {{"queue", queue + "/out"}}, "memory");
  PipelineConfig config = Config();
  config.source = "queue-in";
  config.sinks = {{"queue-out", true}};
  ASSERT_TRUE(manager_->Create(config).ok());
  ASSERT_TRUE(manager_->Start("main").ok());
  ASSERT_TRUE(Reaches(PipelineState::kFinished)) << manager_->Status("main")->error;
  EXPECT_EQ(manager_->Status("main")->counts.delivered, uint64_t{kRequests});
  std::set<std::string> ids;
  const auto probe = registry_->Find("probe");
  ASSERT_TRUE(Eventually([&] {
    const registry::ReadResult read =
        probe->Read(100, 1 << 20, absl::Milliseconds(10), Cancellation());
    for (const mfn_record& record : read.batch.records()) {
      const json result = json::parse(std::string(View(record.payload)));
      EXPECT_EQ(result["growth_events"], 14);
      EXPECT_EQ(result["features"]["V_mean"], -70.03076248064738);
      EXPECT_EQ(result["idempotency_key"], std::string(View(record.id)));
      ids.insert(result["request_id"]);
    }
    return ids.size() == kRequests;
  })) << ids.size();
}

TEST_F(ManagerTest, ALetterOfABadRequestStaysWhenReplayedAndGoesWhenDiscarded) {
  Drop("bad.json", R"({"request_id": "x", "grid_size": 4096})");
  ASSERT_TRUE(manager_->Create(Config()).ok());
  ASSERT_TRUE(manager_->Start("main").ok());
  ASSERT_TRUE(Reaches(PipelineState::kFinished));
  const auto page = store_->dead_letters().List("main", 0, 10);
  ASSERT_EQ(page->letters.size(), 1u);
  const int64_t id = page->letters[0].id;
  const absl::Status replayed = manager_->Replay(id);
  EXPECT_EQ(replayed.code(), absl::StatusCode::kInvalidArgument) << replayed;
  EXPECT_EQ(FieldOf(replayed), "grid_size");
  EXPECT_TRUE(store_->dead_letters().Get(id).ok());
  ASSERT_TRUE(manager_->Discard(id).ok());
  EXPECT_EQ(manager_->Discard(id).code(), absl::StatusCode::kNotFound);
  const Conservation counts = manager_->Status("main")->counts;
  EXPECT_EQ(counts.dead_lettered, 0u);
  EXPECT_EQ(counts.dropped_by_cause.at("discarded"), 1u);
  EXPECT_TRUE(Bench::Balanced(counts));
}

TEST_F(ManagerTest, ALetterOfAnEarlierProcessCanBeReplayed) {
  store::DeadLetter letter;
  letter.pipeline = "main";
  letter.sink = "outbox";
  letter.idempotency_key = "0123456789abcdef0123456789abcdef";
  letter.payload = R"({"request_id": "old", "seed": 42})";
  letter.time = absl::Now() - absl::Hours(1);
  ASSERT_TRUE(store_->dead_letters().Add({letter}).ok());
  const int64_t id = store_->dead_letters().List("main", 0, 1)->letters.at(0).id;
  EXPECT_EQ(manager_->Replay(id).code(), absl::StatusCode::kNotFound) << "no such pipeline yet";
  ASSERT_TRUE(manager_->Create(Config()).ok());
  const absl::Status replayed = manager_->Replay(id);
  ASSERT_TRUE(replayed.ok()) << replayed;
  ASSERT_EQ(Results().size(), 1u);
  EXPECT_EQ(Results()[0]["idempotency_key"], letter.idempotency_key);
  EXPECT_FALSE(store_->dead_letters().Get(id).ok());
  EXPECT_EQ(manager_->Status("main")->replayed, 1u);
  EXPECT_EQ(manager_->Status("main")->counts.delivered, 1u);
}

TEST_F(ManagerTest, ValidateNamesTheFieldAndHasNoSideEffects) {
  struct Case {
    void (*change)(PipelineConfig&);
    const char* field;
    const char* text;
  };
  const Case cases[] = {
      {[](PipelineConfig& c) { c.source = "nowhere"; }, "source", "no connector \"nowhere\""},
      {[](PipelineConfig& c) { c.source = "outbox"; }, "source", "not a connector"},
      {[](PipelineConfig& c) { c.sinks.clear(); }, "sinks", "at least one"},
      {[](PipelineConfig& c) { c.sinks[0].publisher = "x"; }, "sinks[0]", "no publisher \"x\""},
      {[](PipelineConfig& c) { c.sinks[0].publisher = "inbox"; }, "sinks[0]", "not a publisher"},
      {[](PipelineConfig& c) { c.sinks.push_back(c.sinks[0]); }, "sinks[1]", "twice"},
      {[](PipelineConfig& c) { c.dead_letter_publisher = "x"; }, "dead_letter_publisher", "x"},
      {[](PipelineConfig& c) { c.dead_letter_publisher = "outbox"; }, "dead_letter_publisher",
       "one of the sinks"},
      {[](PipelineConfig& c) { c.max_in_flight_records = 0; }, "max_in_flight_records", "1"},
  };
  for (const Case& bad : cases) {
    PipelineConfig config = Config();
    bad.change(config);
    const absl::Status status = manager_->Validate(config);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(FieldOf(status), bad.field) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.text));
  }
  EXPECT_TRUE(manager_->Validate(Config()).ok());
  EXPECT_TRUE(manager_->List().empty());
}

TEST_F(ManagerTest, ASourceBelongsToOnePipelineUntilThatIsDeleted) {
  ASSERT_TRUE(manager_->Create(Config()).ok());
  EXPECT_EQ(manager_->Create(Config()).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(FieldOf(manager_->Create(Config("second"))), "source");
  EXPECT_EQ(manager_->UserOf("inbox"), "main");
  EXPECT_EQ(manager_->UserOf("outbox"), "main");
  ASSERT_TRUE(manager_->Delete("main").ok());
  EXPECT_EQ(manager_->UserOf("inbox"), "");
  EXPECT_EQ(manager_->Delete("main").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(manager_->Create(Config("second")).ok());
  EXPECT_EQ(manager_->Get("second")->source, "inbox");
}

TEST_F(ManagerTest, AFinishedPipelineStartsAgainAndReadsOnlyWhatIsNew) {
  Drop("a.json", R"({"request_id": "a", "grid_size": 8, "steps": 4})");
  ASSERT_TRUE(manager_->Create(Config()).ok());
  ASSERT_TRUE(manager_->Start("main").ok());
  ASSERT_TRUE(Reaches(PipelineState::kFinished));
  ASSERT_TRUE(manager_->Start("main").ok());
  ASSERT_TRUE(Reaches(PipelineState::kFinished));
  EXPECT_EQ(Results().size(), 1u);
}

TEST_F(ManagerTest, ShutdownEndsEverythingAndMayComeTwice) {
  ASSERT_TRUE(manager_->Create(Config()).ok());
  ASSERT_TRUE(manager_->Start("main").ok());
  manager_->Shutdown();
  manager_->Shutdown();
  EXPECT_FALSE(manager_->Start("main").ok());
  EXPECT_EQ(manager_->Create(Config("other")).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace mfn::pipeline
