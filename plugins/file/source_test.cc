// The source, through the real shared object's vtables: what is read, when, and what becomes of it.
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "plugins/file/test_util.h"

namespace mfn::file {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr const char* kOnce = R"("mode": "once", "settle_ms": 0)";

TEST_F(FileTest, ReadsEveryFormatByExtensionAndEnds) {
  Put("in/a.json", "{\"a\": 1}\n");
  Put("in/b.jsonl", "{\"b\":1}\n\n{\"b\":2}\r\n{\"b\":3}");
  Put("in/c.csv", "x,y\n1,two\n");
  Put("in/d.dat", std::string("\0\1\2", 3));
  Instance source(host_, FileComponent(), Config("in", kOnce));
  ASSERT_TRUE(source.Connect().ok());
  EXPECT_THAT(ReadAll(source),
              UnorderedElementsAre("{\"a\": 1}\n", "{\"b\":1}", "{\"b\":2}", "{\"b\":3}",
                                   "{\"x\":1,\"y\":\"two\"}", std::string("\0\1\2", 3)));
  EXPECT_EQ(source.Read(1, 1, milliseconds(0)).status.code, MFN_END);
}

TEST_F(FileTest, RecordIdNamesPathInodeTimeAndLine) {
  Put("in/b.jsonl", "{}\n\n{}");
  Instance source(host_, FileComponent(), Config("in", kOnce));
  ASSERT_TRUE(source.Connect().ok());
  struct stat st;
  ASSERT_EQ(::stat(Path("in/b.jsonl").c_str(), &st), 0);
  const std::string head = Path("in/b.jsonl") + ";inode=" + std::to_string(st.st_ino) + ";mtime=" +
                           std::to_string(st.st_mtim.tv_sec * 1'000'000'000 + st.st_mtim.tv_nsec);
  std::vector<std::string> ids;
  ReadAll(source, &ids);
  EXPECT_THAT(ids, ElementsAre(head + ";line=1", head + ";line=3"));
}

TEST_F(FileTest, SmallFilesShareUnorderedBatchesAndLinesHaveALaneEach) {
  for (int i = 0; i < 10; ++i) Put("in/" + std::to_string(i) + ".json", "{}");
  Instance source(host_, FileComponent(), Config("in", kOnce));
  ASSERT_TRUE(source.Connect().ok());
  Result files = source.Read(100, 1 << 20, seconds(5));
  EXPECT_EQ(files.size(), 10u);
  EXPECT_EQ(files.flags(), static_cast<uint64_t>(MFN_LANE_UNORDERED));
  ASSERT_TRUE(source.Ack(files.ack_id()).ok());
  EXPECT_EQ(host_.puts, 1) << "ten finished files are one durable write";
}

TEST_F(FileTest, HonoursLimits) {
  Put("in/a.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
  Instance source(host_, FileComponent(), Config("in", kOnce));
  ASSERT_TRUE(source.Connect().ok());
  EXPECT_EQ(source.Read(0, 1, seconds(0)).size(), 0u);
  Result two = source.Read(2, 1 << 20, seconds(5));
  EXPECT_EQ(two.size(), 2u);
  Result one = source.Read(2, 1, seconds(5));
  EXPECT_THAT(one.payloads(), ElementsAre("{\"n\":3}"));
  EXPECT_EQ(one.lane(), two.lane());
}

TEST_F(FileTest, LeftFilesAreNotReadAgainAfterRestartAndChangedOnesAre) {
  Put("in/a.json", "1");
  Put("in/b.jsonl", "2\n3\n");
  for (int run = 0; run < 2; ++run) {
    Instance source(host_, FileComponent(), Config("in", kOnce));
    ASSERT_TRUE(source.Connect().ok());
    EXPECT_EQ(ReadAll(source).size(), run == 0 ? 3u : 0u);
  }
  Put("in/a.json", "1, changed");
  Instance source(host_, FileComponent(), Config("in", kOnce));
  ASSERT_TRUE(source.Connect().ok());
  EXPECT_THAT(ReadAll(source), ElementsAre("1, changed"));
}

TEST_F(FileTest, UnackedFilesAreReadAgainWithTheSameId) {
  Put("in/a.json", "1");
  std::vector<std::string> before;
  {
    Instance source(host_, FileComponent(), Config("in", kOnce));
    ASSERT_TRUE(source.Connect().ok());
    before = source.Read(10, 1 << 20, seconds(5)).ids();
  }
  Instance source(host_, FileComponent(), Config("in", kOnce));
  ASSERT_TRUE(source.Connect().ok());
  std::vector<std::string> after;
  ReadAll(source, &after);
  EXPECT_EQ(after, before);
}

TEST_F(FileTest, RestartInTheMiddleOfAFileGoesOnAfterTheLastAck) {
  Put("in/a.jsonl", "1\n2\n3\n4\n");
  {
    Instance source(host_, FileComponent(), Config("in", kOnce));
    ASSERT_TRUE(source.Connect().ok());
    Result first = source.Read(2, 1 << 20, seconds(5));
    ASSERT_TRUE(source.Ack(first.ack_id()).ok());
    source.Read(1, 1 << 20, seconds(5));
  }
  Instance source(host_, FileComponent(), Config("in", kOnce));
  ASSERT_TRUE(source.Connect().ok());
  EXPECT_THAT(ReadAll(source), ElementsAre("3", "4"));
  for (const auto& [key, value] : host_.state()) EXPECT_THAT(key, HasSubstr("done/"));
}

TEST_F(FileTest, ArchivesWithoutReplacing) {
  fs::create_directories(Path("archive"));
  Put("archive/a.json", "old");
  Put("in/a.json", "new");
  Instance source(
      host_, FileComponent(),
      Config("in", std::string(kOnce) + R"(, "afterwards": "archive", "archive_dir": ")" +
                       Path("archive") + "\""));
  ASSERT_TRUE(source.Connect().ok());
  EXPECT_EQ(ReadAll(source).size(), 1u);
  EXPECT_THAT(Names("in"), IsEmpty());
  EXPECT_EQ(Names("archive").size(), 2u);
  EXPECT_EQ(Get("archive/a.json"), "old");
}

TEST_F(FileTest, ArchivesAcrossFileSystems) {
  struct stat here, there;
  ASSERT_EQ(::stat(dir_.c_str(), &here), 0);
  if (::stat("/dev/shm", &there) != 0 || here.st_dev == there.st_dev) {
    GTEST_SKIP() << "no second file system at /dev/shm";
  }
  std::string archive = "/dev/shm/mfn-file-XXXXXX";
  ASSERT_NE(::mkdtemp(archive.data()), nullptr);
  std::ofstream(archive + "/a.json") << "old";
  Put("in/a.json", "new");
  {
    Instance source(
        host_, FileComponent(),
        Config("in", std::string(kOnce) + R"(, "afterwards": "archive", "archive_dir": ")" +
                         archive + "\""));
    ASSERT_TRUE(source.Connect().ok());
    EXPECT_EQ(ReadAll(source).size(), 1u);
  }
  EXPECT_THAT(Names("in"), IsEmpty());
  std::set<std::string> texts;
  for (const auto& entry : fs::directory_iterator(archive)) {
    std::ifstream in(entry.path());
    texts.insert(std::string(std::istreambuf_iterator<char>(in), {}));
  }
  EXPECT_THAT(texts, UnorderedElementsAre("old", "new"));
  fs::remove_all(archive);
}

TEST_F(FileTest, DeletesOnlyWhatIsAcked) {
  Put("in/a.json", "1");
  Put("in/b.json", "2");
  Instance source(
      host_, FileComponent(),
      Config("in", std::string(kOnce) + R"(, "afterwards": "delete", "redeliver_ms": 0)"));
  ASSERT_TRUE(source.Connect().ok());
  Result both = source.Read(10, 1 << 20, seconds(5));
  ASSERT_EQ(both.size(), 2u);
  ASSERT_TRUE(source.Ack(both.ack_id(), {MFN_PERMANENT, MFN_RETRYABLE}).ok());
  EXPECT_EQ(Names("in").size(), 1u) << "a dead-lettered file is finished, a returned one is not";
  EXPECT_THAT(ReadAll(source), ElementsAre(both.payloads()[1]));
  EXPECT_THAT(Names("in"), IsEmpty());
}

TEST_F(FileTest, ReturnedLinesAreGivenAgainAlone) {
  Put("in/a.jsonl", "1\n2\n3\n");
  Instance source(host_, FileComponent(),
                  Config("in", std::string(kOnce) + R"(, "redeliver_ms": 0)"));
  ASSERT_TRUE(source.Connect().ok());
  Result all = source.Read(10, 1 << 20, seconds(5));
  ASSERT_EQ(all.size(), 3u);
  ASSERT_TRUE(source.Ack(all.ack_id(), {MFN_OK, MFN_RETRYABLE, MFN_PERMANENT}).ok());
  std::vector<std::string> ids;
  EXPECT_THAT(ReadAll(source, &ids), ElementsAre("2"));
  EXPECT_EQ(ids[0], all.ids()[1]);
}

TEST_F(FileTest, AckFailsWhenTheStateDoesAndCanBeRepeated) {
  Put("in/a.jsonl", "1\n");
  Instance source(host_, FileComponent(), Config("in", kOnce));
  ASSERT_TRUE(source.Connect().ok());
  Result one = source.Read(10, 1 << 20, seconds(5));
  host_.put_code = MFN_RETRYABLE;
  EXPECT_EQ(source.Ack(one.ack_id()).code, MFN_RETRYABLE);
  host_.put_code = MFN_OK;
  EXPECT_TRUE(source.Ack(one.ack_id()).ok());
  EXPECT_THAT(ReadAll(source), IsEmpty());
  EXPECT_EQ(host_.state().size(), 1u);
}

TEST_F(FileTest, IgnoresTemporaryHiddenAndUnmatchedNamesAndLinks) {
  Put("in/a.json.tmp", "1");
  Put("in/.b.json", "2");
  Put("in/c.txt", "3");
  Put("outside", "secret");
  fs::create_symlink(Path("outside"), Path("in/d.json"));
  ASSERT_EQ(::mkfifo(Path("in/e.json").c_str(), 0600), 0);
  Put("in/f.json", "4");
  Instance source(host_, FileComponent(), Config("in/*.json", kOnce));
  ASSERT_TRUE(source.Connect().ok());
  EXPECT_THAT(ReadAll(source), ElementsAre("4"));
}

TEST_F(FileTest, AFoundFileMustSettle) {
  Put("in/a.json", "1");
  Instance source(host_, FileComponent(), Config("in", R"("mode": "once", "settle_ms": 60)"));
  ASSERT_TRUE(source.Connect().ok());
  EXPECT_EQ(source.Read(10, 1 << 20, milliseconds(0)).size(), 0u);
  Put("in/a.json", "1 and more");
  EXPECT_THAT(ReadAll(source), ElementsAre("1 and more"));
}

TEST_F(FileTest, WatchReactsToCloseAndRenameNotToOpenFiles) {
  Instance source(host_, FileComponent(), Config("in", R"("settle_ms": 3600000, "rescan_ms": 10)"));
  ASSERT_TRUE(source.Connect().ok());
  std::ofstream open(Path("in/open.json"));
  open << "half" << std::flush;
  EXPECT_EQ(source.Read(10, 1 << 20, milliseconds(60)).size(), 0u);
  open.close();
  Result closed = source.Read(10, 1 << 20, seconds(10));
  EXPECT_THAT(closed.payloads(), ElementsAre("half"));
  Put("elsewhere", "moved");
  fs::rename(Path("elsewhere"), Path("in/moved.json"));
  EXPECT_THAT(source.Read(10, 1 << 20, seconds(10)).payloads(), ElementsAre("moved"));
}

TEST_F(FileTest, WatchFindsWhatEventsMissed) {
  Instance source(host_, FileComponent(), Config("in", R"("settle_ms": 0, "rescan_ms": 20)"));
  ASSERT_TRUE(source.Connect().ok());
  Put("elsewhere", "linked");
  fs::create_hard_link(Path("elsewhere"), Path("in/a.json"));  // no event tells that it is complete
  EXPECT_THAT(source.Read(10, 1 << 20, seconds(10)).payloads(), ElementsAre("linked"));
}

TEST_F(FileTest, ReadReturnsSoonAfterCancelAndAckWorksBesideIt) {
  Put("in/a.json", "1");
  Instance source(host_, FileComponent(), Config("in", R"("settle_ms": 0)"));
  ASSERT_TRUE(source.Connect().ok());
  Result one = source.Read(10, 1 << 20, seconds(5));
  ASSERT_EQ(one.size(), 1u);
  std::thread reader([&] { EXPECT_EQ(source.Read(10, 1 << 20, seconds(600)).size(), 0u); });
  EXPECT_TRUE(source.Ack(one.ack_id()).ok());
  const auto start = std::chrono::steady_clock::now();
  source.cancel = true;
  reader.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(5));
}

TEST_F(FileTest, AFileChangedAfterReadingIsNotArchivedButReadAgain) {
  Put("in/a.json", "1");
  Instance source(host_, FileComponent(),
                  Config("in", R"("settle_ms": 0, "rescan_ms": 10, "afterwards": "delete")"));
  ASSERT_TRUE(source.Connect().ok());
  Result one = source.Read(10, 1 << 20, seconds(5));
  Put("in/a.json", "second version");
  ASSERT_TRUE(source.Ack(one.ack_id()).ok());
  EXPECT_TRUE(fs::exists(Path("in/a.json")));
  EXPECT_THAT(source.Read(10, 1 << 20, seconds(10)).payloads(), ElementsAre("second version"));
}

TEST_F(FileTest, MissingDirectoryIsAClearError) {
  Instance source(host_, FileComponent(), Config("nowhere", kOnce));
  const sdk::Status status = source.Connect();
  EXPECT_EQ(status.code, MFN_RETRYABLE);
  EXPECT_EQ(status.reason, "NOT_FOUND");
  EXPECT_THAT(status.message, HasSubstr(Path("nowhere")));
  EXPECT_FALSE(source.Check().ok());
}

TEST_F(FileTest, RemovedDirectoryAsksForAConnect) {
  Instance source(host_, FileComponent(), Config("in", ""));
  ASSERT_TRUE(source.Connect().ok());
  source.Read(1, 1, milliseconds(0));
  fs::remove_all(Path("in"));
  EXPECT_EQ(source.Read(1, 1, seconds(5)).status.code, MFN_NOT_CONNECTED);
  fs::create_directories(Path("in"));
  EXPECT_TRUE(source.Connect().ok());
  EXPECT_TRUE(source.Read(1, 1, milliseconds(0)).status.ok());
}

TEST_F(FileTest, DamagedFilesGoToErrorDirAndLoseNoOthers) {
  Put("in/bad.json.gz", "not gzip at all");
  Put("in/good.json", "1");
  Put("in/dup.csv", "a,a\n1,2\n");
  Instance source(host_, FileComponent(),
                  Config("in", std::string(kOnce) + R"(, "error_dir": ")" + Path("errors") + "\""));
  ASSERT_TRUE(source.Connect().ok());
  EXPECT_THAT(ReadAll(source), ElementsAre("1"));
  EXPECT_THAT(Names("errors"), UnorderedElementsAre("bad.json.gz", "dup.csv"));
  EXPECT_EQ(host_.metric("files_failed"), 2);
  EXPECT_EQ(host_.log().size(), 2u);
}

TEST_F(FileTest, TooLargeARecordIsGivenWithoutItsBytes) {
  Put("in/a.jsonl", "1\n" + std::string(100, 'x') + "\n2\n");
  Instance source(host_, FileComponent(),
                  Config("in", std::string(kOnce) + R"(, "max_record_bytes": 10)"));
  ASSERT_TRUE(source.Connect().ok());
  Result all = source.Read(10, 1 << 20, seconds(5));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_FALSE(all.records()[1].has_payload());
  EXPECT_THAT(std::string(*all.records()[1].attr("mfn-error")), HasSubstr("max_record_bytes"));
  EXPECT_EQ(all.records()[2].payload(), "2");
}

TEST_F(FileTest, AThousandFilesOneByOneAreAllReadOnce) {
  for (int i = 0; i < 1000; ++i) Put("in/" + std::to_string(i) + ".json", std::to_string(i));
  Instance source(host_, FileComponent(),
                  Config("in", std::string(kOnce) + R"(, "afterwards": "delete")"));
  ASSERT_TRUE(source.Connect().ok());
  const std::vector<std::string> all = ReadAll(source);
  EXPECT_EQ(all.size(), 1000u);
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 1000u);
  EXPECT_THAT(Names("in"), IsEmpty());
}

}  // namespace
}  // namespace mfn::file
