// What a configuration may not say, with the key at fault; names; the CSV rules.
#include "plugins/file/encode.h"
#include "plugins/file/naming.h"
#include "plugins/file/test_util.h"

namespace mfn::file {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(FileTest, ConfigErrorsNameTheKey) {
  const struct {
    const char* members;
    const char* field;
  } cases[] = {
      {R"("mode": "once", "filename": "x")", "/filename"},
      {R"("afterwards": "archive")", "/archive_dir"},
      {R"("archive_dir": "/x")", "/archive_dir"},
      {R"("pattern": "a/b")", "/pattern"},
      {R"("write": "append")", "/write"},
      {R"("format": "json", "rotate_bytes": 5)", "/rotate_bytes"},
      {R"("format": "jsonl", "columns": ["a"])", "/columns"},
      {R"("filename": "../x.json")", "/filename"},
      {R"("filename": "{nope}.json")", "/filename"},
      {R"("filename": "{id.json")", "/filename"},
      {R"("filename": "{time:%D}.json")", "/filename"},
      {R"("format": "auto", "write": "atomic")", "/format"},
  };
  for (const auto& c : cases) {
    const Status status = Validate(Config("in", c.members));
    EXPECT_EQ(status.code, MFN_PERMANENT) << c.members;
    EXPECT_EQ(status.field, c.field) << c.members;
    EXPECT_FALSE(status.message.empty()) << c.members;
  }
  EXPECT_TRUE(Validate(Config("in", "")).ok());
  EXPECT_EQ(Validate(Config("in", R"("error_dir": ")" + Path("in/") + "\"")).field, "/error_dir");
}

TEST(Naming, ValuesCannotLeaveTheDirectoryNorCollide) {
  EXPECT_EQ(Sanitize("abc-1.2_X"), "abc-1.2_X");
  for (const char* evil : {"../x", "a/b", "..", ".hidden", "a\nb"}) {
    const std::string safe = Sanitize(evil);
    EXPECT_EQ(safe.find('/'), std::string::npos);
    EXPECT_NE(safe[0], '.');
  }
  EXPECT_NE(Sanitize("a/b"), Sanitize("a_b"));
  EXPECT_NE(Sanitize("a/b"), Sanitize("a:b"));
  EXPECT_LT(Sanitize(std::string(5000, 'x')).size(), 150u);
  EXPECT_NE(Sanitize(std::string(5000, 'x')), Sanitize(std::string(5001, 'x')));
}

TEST(Naming, FieldsRender) {
  NameTemplate name;
  ASSERT_TRUE(NameTemplate::Parse("{time:%Y%m%dT%H%M%S}_{request_id}_{seq}.json", &name).ok());
  const std::string payload = R"({"request_id": "r 1"})";
  mfn_record record = {};
  record.payload = sdk::ToBytes(payload);
  EXPECT_THAT(name.Render(sdk::RecordView(&record), 86'400 + 61, 7),
              ::testing::MatchesRegex("19700102T000101_r_1-[0-9a-f]{16}_000007.json"));
}

TEST(Encode, JsonLineKeepsTokens) {
  EXPECT_EQ(JsonLine("{ \"a\\\\\" : 1.50,\r\n\t\"b c\": [ ] }"), "{\"a\\\\\":1.50,\"b c\":[]}\n");
}

TEST_F(FileTest, CsvCellsBecomeWhatTheyUnambiguouslyAre) {
  Put("in/a.csv",
      "\xEF\xBB\xBFn,text,flag,quoted,empty\r\n"
      "-1.50e3,007,true,\"12\",\r\n"
      "0.10,+1,True,\"a \"\"b\"\"\nc\",\"\"\r\n"
      "\r\n"
      "1e999,NaN,false,x,y");
  Instance source(host_, FileComponent(), Config("in", R"("mode": "once", "settle_ms": 0)"));
  ASSERT_TRUE(source.Connect().ok());
  std::vector<std::string> ids;
  EXPECT_THAT(
      ReadAll(source, &ids),
      ElementsAre(R"({"n":-1.50e3,"text":"007","flag":true,"quoted":"12"})",
                  R"({"n":0.10,"text":"+1","flag":"True","quoted":"a \"b\"\nc","empty":""})",
                  R"({"n":"1e999","text":"NaN","flag":false,"quoted":"x","empty":"y"})"));
  EXPECT_THAT(ids[2], HasSubstr(";line=6"));
}

TEST_F(FileTest, ABadCsvRowIsGivenAsItIsAndTheOthersCount) {
  Put("in/a.csv", "a,b\n1,2\n3\n4,5\n\"6,7\n");
  Instance source(host_, FileComponent(), Config("in", R"("mode": "once", "settle_ms": 0)"));
  ASSERT_TRUE(source.Connect().ok());
  Result all = source.Read(10, 1 << 20, std::chrono::seconds(5));
  EXPECT_THAT(all.payloads(),
              ElementsAre(R"({"a":1,"b":2})", "3\n", R"({"a":4,"b":5})", "\"6,7\n"));
  EXPECT_EQ(*all.records()[1].attr("content-type"), "text/csv");
  EXPECT_THAT(std::string(*all.records()[1].attr("mfn-error")), HasSubstr("line 3 has 1 cells"));
  EXPECT_THAT(std::string(*all.records()[3].attr("mfn-error")), HasSubstr("never ends"));
  EXPECT_EQ(host_.metric("records_bad"), 2);
}

}  // namespace
}  // namespace mfn::file
