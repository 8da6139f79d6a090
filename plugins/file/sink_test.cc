// The sink, through the real shared object's vtables: what is on disk after an OK, and after a
// failure or a crash.
#include "plugins/file/sink.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "plugins/file/compression.h"
#include "plugins/file/test_util.h"

namespace mfn::file {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

std::string Decompressed(const std::string& path, Compression compression) {
  Fd fd(::open(path.c_str(), O_RDONLY));
  auto reader = ByteReader::Make(compression, fd.get(), path);
  std::string text;
  for (bool end = false; !end;) {
    const Status status = reader->Read(7, &text, &end);  // odd, so that pieces meet no boundary
    if (!status.ok()) return status.message;
  }
  return text;
}

TEST_F(FileTest, JsonIsAFilePerRecordNamedByItsId) {
  Instance sink(host_, FileComponent(), Config("a/b", R"("format": "json", "write": "atomic")"));
  ASSERT_TRUE(sink.Connect().ok());
  ASSERT_TRUE(sink.Write({{"k1", "{\"x\": 1}"}, {"../../evil", "{}"}}).ok());
  ASSERT_TRUE(sink.Write({{"k1", "{\"x\": 1}"}}).ok()) << "a repeated record is the same file";
  EXPECT_EQ(Get("a/b/k1.json"), "{\"x\": 1}");
  EXPECT_EQ(Names("a/b").size(), 2u);
  for (const std::string& name : Names("a/b")) EXPECT_NE(name[0], '.') << name;
}

TEST_F(FileTest, AtomicWithoutIdNeverReplaces) {
  Instance sink(host_, FileComponent(), Config("out", R"("filename": "same.json")"));
  ASSERT_TRUE(sink.Connect().ok());
  ASSERT_TRUE(sink.Write({{"1", "1"}, {"2", "2"}, {"3", "3"}}).ok());
  EXPECT_THAT(Names("out"), UnorderedElementsAre("same.json", "same-1.json", "same-2.json"));
}

TEST_F(FileTest, OverwriteReplacesWhole) {
  Instance sink(host_, FileComponent(),
                Config("out", R"("filename": "latest.json", "write": "overwrite")"));
  ASSERT_TRUE(sink.Connect().ok());
  ASSERT_TRUE(sink.Write({{"1", "1"}, {"2", "2"}}).ok());
  EXPECT_THAT(Names("out"), ElementsAre("latest.json"));
  EXPECT_EQ(Get("out/latest.json"), "2");
}

TEST_F(FileTest, LinesAreAppendedAlsoAfterARestart) {
  for (int i = 0; i < 2; ++i) {
    Instance sink(host_, FileComponent(),
                  Config("out", R"("format": "jsonl", "filename": "r.jsonl")"));
    ASSERT_TRUE(sink.Connect().ok());
    ASSERT_TRUE(sink.Write({{"1", "{\n  \"a\": \"b \\\" c\"\n}"}, {"2", "[1.50]"}}).ok());
  }
  EXPECT_EQ(Get("out/r.jsonl"), "{\"a\":\"b \\\" c\"}\n[1.50]\n{\"a\":\"b \\\" c\"}\n[1.50]\n");
}

TEST_F(FileTest, OverwriteOfLinesStartsOverOncePerInstance) {
  for (int i = 0; i < 2; ++i) {
    Instance sink(
        host_, FileComponent(),
        Config("out", R"("format": "jsonl", "filename": "r.jsonl", "write": "overwrite")"));
    ASSERT_TRUE(sink.Connect().ok());
    ASSERT_TRUE(sink.Write({{"1", "1"}}).ok());
    ASSERT_TRUE(sink.Connect().ok());
    ASSERT_TRUE(sink.Write({{"2", "2"}}).ok());
  }
  EXPECT_EQ(Get("out/r.jsonl"), "1\n2\n");
}

TEST_F(FileTest, ATornLastLineIsCutOffAndACompleteOneKept) {
  fs::create_directories(Path("out"));
  Put("out/torn.jsonl", "{\"a\":1}\n{\"a\":2, \"b");
  Put("out/whole.jsonl", "{\"a\":1}\n{\"a\":2}");
  for (const std::string name : {"torn", "whole"}) {
    Instance sink(host_, FileComponent(),
                  Config("out", R"("format": "jsonl", "filename": ")" + name + ".jsonl\""));
    ASSERT_TRUE(sink.Connect().ok());
    ASSERT_TRUE(sink.Write({{"1", "3"}}).ok());
  }
  EXPECT_EQ(Get("out/torn.jsonl"), "{\"a\":1}\n3\n");
  EXPECT_EQ(Get("out/whole.jsonl"), "{\"a\":1}\n{\"a\":2}\n3\n");
  EXPECT_EQ(host_.metric("files_repaired"), 1);
}

TEST_F(FileTest, CompressedAppendsAreOneReadableStreamAndTornMembersAreCut) {
  for (const auto& [name, compression] :
       {std::pair{"gzip", Compression::kGzip}, std::pair{"zstd", Compression::kZstd}}) {
    const std::string file = std::string("out/records.jsonl") + ExtensionOf(compression);
    const std::string config =
        Config("out", R"("format": "jsonl", "compression": ")" + std::string(name) + "\"");
    {
      Instance sink(host_, FileComponent(), config);
      ASSERT_TRUE(sink.Connect().ok());
      ASSERT_TRUE(sink.Write({{"1", "1"}}).ok());
      ASSERT_TRUE(sink.Write({{"2", "2"}}).ok());
    }
    const std::string good = Get(file);
    Put(file, good + good.substr(0, 9));  // a member that breaks off
    Instance sink(host_, FileComponent(), config);
    ASSERT_TRUE(sink.Connect().ok());
    ASSERT_TRUE(sink.Write({{"3", "3"}}).ok());
    EXPECT_EQ(Decompressed(Path(file), compression), "1\n2\n3\n") << name;
  }
}

TEST_F(FileTest, CompressedFilesComeBackThroughTheSource) {
  Instance sink(host_, FileComponent(), Config("in", R"("format": "json", "compression": "zstd")"));
  ASSERT_TRUE(sink.Connect().ok());
  ASSERT_TRUE(sink.Write({{"1", "{\"big\":\"" + std::string(200'000, 'a') + "\"}"}}).ok());
  Instance source(host_, FileComponent(), Config("in", R"("mode": "once", "settle_ms": 0)"));
  ASSERT_TRUE(source.Connect().ok());
  const std::vector<std::string> all = ReadAll(source);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].size(), 200'010u);
}

TEST_F(FileTest, CsvFlattensQuotesAndKeepsItsColumns) {
  const std::string config = Config("out", R"("format": "csv")");
  {
    Instance sink(host_, FileComponent(), config);
    ASSERT_TRUE(sink.Connect().ok());
    ASSERT_TRUE(
        sink.Write({{"1", R"({"id": "a,\"b\"", "n": 1, "features": {"D_box": 1.5}, "list": [1]})"}})
            .ok());
  }
  Instance sink(host_, FileComponent(), config);
  ASSERT_TRUE(sink.Connect().ok());
  ASSERT_TRUE(sink.Write({{"2", R"({"features": {"D_box": 2.5}, "id": "two\nlines"})"}}).ok());
  EXPECT_EQ(Get("out/records.csv"),
            "id,n,features.D_box\n\"a,\"\"b\"\"\",1,1.5\n\"two\nlines\",,2.5\n");
}

TEST_F(FileTest, ANewCsvColumnStartsANewFileAndLosesNothing) {
  Instance sink(host_, FileComponent(), Config("out", R"("format": "csv")"));
  ASSERT_TRUE(sink.Connect().ok());
  ASSERT_TRUE(sink.Write({{"1", R"({"a": 1})"}}).ok());
  ASSERT_TRUE(sink.Write({{"2", R"({"b": 2})"}}).ok());
  EXPECT_EQ(Names("out").size(), 2u);
  EXPECT_EQ(Get("out/records.csv"), "a,b\n,2\n");
}

TEST_F(FileTest, ATornCsvRowIsCutAlsoInsideQuotes) {
  fs::create_directories(Path("out"));
  Put("out/records.csv", "a\n\"x\ny\"\n\"torn\nhere");
  Instance sink(host_, FileComponent(), Config("out", R"("format": "csv")"));
  ASSERT_TRUE(sink.Connect().ok());
  ASSERT_TRUE(sink.Write({{"1", R"({"a": 1})"}}).ok());
  EXPECT_EQ(Get("out/records.csv"), "a\n\"x\ny\"\n1\n");
}

TEST_F(FileTest, SetColumnsChooseAndOrder) {
  Instance sink(host_, FileComponent(),
                Config("out", R"("format": "csv", "columns": ["b", "c", "a"])"));
  ASSERT_TRUE(sink.Connect().ok());
  ASSERT_TRUE(sink.Write({{"1", R"({"a": 1, "b": true, "z": 9})"}}).ok());
  EXPECT_EQ(Get("out/records.csv"), "b,c,a\ntrue,,1\n");
}

TEST_F(FileTest, RecordsThatDoNotFitFailAlone) {
  Instance sink(host_, FileComponent(), Config("out", R"("format": "csv")"));
  ASSERT_TRUE(sink.Connect().ok());
  std::map<uint64_t, sdk::Status> failed;
  Input tombstone{"3", "", "", {}, false};
  ASSERT_TRUE(sink.Write({{"1", "not json"},
                          {"2", R"({"a":1})"},
                          tombstone,
                          {"4", "x", "", {{"content-type", "text/csv"}}}},
                         &failed)
                  .ok());
  EXPECT_EQ(failed.size(), 3u);
  EXPECT_EQ(failed[0].code, MFN_PERMANENT);
  EXPECT_EQ(failed[3].reason, "NOT_JSON");
  EXPECT_EQ(Get("out/records.csv"), "a\n1\n");
}

TEST_F(FileTest, RotatesBySizeIntoCompleteFiles) {
  Instance sink(host_, FileComponent(), Config("out", R"("format": "jsonl", "rotate_bytes": 10)"));
  ASSERT_TRUE(sink.Connect().ok());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(sink.Write({{"1", "123456789012"}}).ok());
  EXPECT_EQ(Names("out").size(), 5u);
  for (const std::string& name : Names("out")) EXPECT_EQ(Get("out/" + name), "123456789012\n");
  EXPECT_EQ(host_.metric("files_rotated"), 4);
}

TEST_F(FileTest, RotatesByAge) {
  SinkConfig config;
  config.path = Path("out");
  config.format = Format::kJsonl;
  config.filename = "r.jsonl";
  config.write = WriteMode::kAppend;
  config.rotate_after = std::chrono::seconds(60);
  std::time_t now = std::time(nullptr);
  FileSink sink(config, sdk::Host(host_.raw()), [&] { return now; });
  mfn_call raw_call;
  sdk::Call call(host_.raw(), &raw_call);
  ASSERT_TRUE(sink.Connect(call).ok());
  mfn_record record = {};
  record.payload = sdk::ToBytes("1");
  mfn_batch batch = {};
  batch.records = &record;
  batch.n_records = 1;
  for (int seconds : {0, 50, 20}) {
    now += seconds;
    ASSERT_TRUE(sink.Write(call, sdk::BatchView(&batch)).ok());
  }
  EXPECT_EQ(Names("out").size(), 2u);
  EXPECT_EQ(Get("out/r.jsonl"), "1\n");
}

TEST_F(FileTest, ATemplateSpreadsRecordsOverFiles) {
  Instance sink(host_, FileComponent(),
                Config("out", R"("format": "jsonl", "filename": "{key}-{time:%Y}.jsonl")"));
  ASSERT_TRUE(sink.Connect().ok());
  ASSERT_TRUE(sink.Write({{"1", "1", "a"}, {"2", "2", "b"}, {"3", "3", "a"}}).ok());
  ASSERT_EQ(Names("out").size(), 2u);
  EXPECT_EQ(Get("out/" + *Names("out").begin()), "1\n3\n");
}

TEST_F(FileTest, TwoWritersOfOneFileAreRefused) {
  Instance one(host_, FileComponent(), Config("out", R"("format": "jsonl")"));
  Instance two(host_, FileComponent(), Config("out", R"("format": "jsonl")"));
  ASSERT_TRUE(one.Connect().ok());
  ASSERT_TRUE(two.Connect().ok());
  ASSERT_TRUE(one.Write({{"1", "1"}}).ok());
  EXPECT_EQ(two.Write({{"2", "2"}}).reason, "FILE_LOCKED");
}

// Limits the size of files in this process; a full disk in small.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    old_handler_ = ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit = {bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_;
  sighandler_t old_handler_;
};

TEST_F(FileTest, NoSpaceIsRetryableAndRollsBack) {
  Instance sink(host_, FileComponent(), Config("out", R"("format": "jsonl")"));
  Instance files(host_, FileComponent(), Config("files", R"("format": "raw")"));
  ASSERT_TRUE(sink.Connect().ok());
  ASSERT_TRUE(files.Connect().ok());
  ASSERT_TRUE(sink.Write({{"1", "\"short\""}}).ok());
  const std::string big = "\"" + std::string(10'000, 'x') + "\"";
  {
    FileSizeLimit limit(4096);
    const sdk::Status status = sink.Write({{"2", big}});
    EXPECT_EQ(status.code, MFN_RETRYABLE);
    EXPECT_EQ(status.reason, "NO_SPACE");
    EXPECT_EQ(Get("out/records.jsonl"), "\"short\"\n") << "the part that fitted is gone again";
    EXPECT_EQ(files.Write({{"2", big}}).reason, "NO_SPACE");
    EXPECT_THAT(Names("files"), IsEmpty());
  }
  EXPECT_TRUE(sink.Write({{"2", big}}).ok());
  EXPECT_EQ(Get("out/records.jsonl"), "\"short\"\n" + big + "\n");
}

TEST_F(FileTest, ADirectoryThatVanishesIsMadeAgainByConnect) {
  Instance sink(host_, FileComponent(), Config("out", R"("filename": "{seq}.json")"));
  ASSERT_TRUE(sink.Connect().ok());
  ASSERT_TRUE(sink.Write({{"1", "1"}}).ok());
  fs::remove_all(Path("out"));
  EXPECT_EQ(sink.Write({{"2", "2"}}).code, MFN_NOT_CONNECTED);
  ASSERT_TRUE(sink.Connect().ok());
  EXPECT_TRUE(sink.Write({{"2", "2"}}).ok());
}

TEST_F(FileTest, APathThatCannotBeMadeSaysSo) {
  Put("plain", "");
  Instance sink(host_, FileComponent(), Config("plain/out", R"("filename": "{id}.json")"));
  EXPECT_THAT(sink.Connect().message, HasSubstr(Path("plain/out")));
}

// Kills a writer again and again: what was confirmed is there, and every line is whole.
TEST_F(FileTest, WhatWasConfirmedSurvivesKill9) {
  const std::string config = Config("out", R"("format": "jsonl")");
  for (int round = 0; round < 5; ++round) {
    int pipe_fds[2];
    ASSERT_EQ(::pipe(pipe_fds), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(pipe_fds[0]);
      Instance sink(host_, FileComponent(), config);
      if (!sink.Connect().ok()) ::_exit(1);
      for (int n = 0;; ++n) {
        const std::string id = std::to_string(round) + "-" + std::to_string(n);
        if (!sink.Write(
                     {{id, "{\"id\":\"" + id + "\",\"pad\":\"" + std::string(5000, 'x') + "\"}"}})
                 .ok())
          ::_exit(2);
        if (::write(pipe_fds[1], &n, sizeof(n)) != sizeof(n)) ::_exit(3);
      }
    }
    ::close(pipe_fds[1]);
    int confirmed = -1;
    while (confirmed < 20 && ::read(pipe_fds[0], &confirmed, sizeof(confirmed)) > 0) {
    }
    ::kill(child, SIGKILL);
    while (::read(pipe_fds[0], &confirmed, sizeof(confirmed)) > 0) {
    }
    ::close(pipe_fds[0]);
    ::waitpid(child, nullptr, 0);
    ASSERT_GE(confirmed, 20);
    Instance sink(host_, FileComponent(), config);
    ASSERT_TRUE(sink.Connect().ok());
    ASSERT_TRUE(sink.Write({{"end", "{\"id\":\"end\"}"}}).ok());
    std::set<std::string> ids;
    std::ifstream in(Path("out/records.jsonl"));
    for (std::string line; std::getline(in, line);) {
      const auto json = nlohmann::json::parse(line, nullptr, false);
      ASSERT_FALSE(json.is_discarded()) << line.substr(0, 80);
      ids.insert(json["id"].get<std::string>());
    }
    for (int n = 0; n <= confirmed; ++n) {
      EXPECT_TRUE(ids.count(std::to_string(round) + "-" + std::to_string(n))) << n;
    }
  }
}

}  // namespace
}  // namespace mfn::file
