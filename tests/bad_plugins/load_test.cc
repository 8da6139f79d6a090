// Defects that are found when a file is loaded: they cost that file, and the error names it, the
// member and what to do.
#include <elf.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/registry/registry.h"
#include "tests/bad_plugins/bad_test.h"

namespace mfn::registry {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

struct Defect {
  const char* plugin;
  absl::StatusCode code;
  std::vector<const char*> words;  // of the error, beside the path
};

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kPrecondition = absl::StatusCode::kFailedPrecondition;

std::vector<Defect> LoadDefects() {
  return {
      {"no_entry", kInvalid, {"does not export mfn_plugin_entry_v1"}},
      {"other_major", kPrecondition, {"ABI major 2", "has major 1"}},
      {"entry_null", kPrecondition, {"the plugin refuses this server"}},
      {"entry_throws", kInvalid, {"its entry point threw", "no entry today"}},
      {"no_components", kInvalid, {"components is NULL"}},
      {"null_component", kInvalid, {"component #0", "is NULL"}},
      {"endless_components", kInvalid, {"n_components is 9223372036854775807", "1 to 1024"}},
      {"same_type_twice", kInvalid, {"\"bad-same_type_twice\" is listed twice"}},
      {"no_role", kInvalid, {"\"bad-no_role\"", "each of source, sink and executor is NULL"}},
      {"no_flush", kInvalid, {"sink.flush (MFN_DEFERRED is set) is NULL"}},
      {"small_struct", kInvalid, {"component #0", "struct_size is 24", "sizeof the struct"}},
      {"absurd_struct",
       kInvalid,
       {"component #0", "struct_size is 4294967040", "sizeof the struct"}},
      {"bad_type", kInvalid, {"component #0", "the type \"../a type \"", "letters, digits"}},
      {"bad_id", kInvalid, {"id \"org.??\"", "UTF-8"}},
      {"schema_no_json", kInvalid, {"\"bad-schema_no_json\": config_schema: JSON: byte"}},
      {"schema_no_schema", kInvalid, {"config_schema: not a JSON Schema"}},
      {"schema_remote", kInvalid, {"config_schema", "http://example.com/schema"}},
      {"schema_circle", kInvalid, {"config_schema", "#/definitions/a", "back to itself"}},
      {"schema_deep", kInvalid, {"config_schema", "nested deeper than 64"}},
      {"schema_enormous", kInvalid, {"config_schema", "larger than 1048576 bytes"}},
      {"unresolved", kPrecondition, {"cannot be loaded", "a_function_that_nobody_has"}},
      {"missing_library", kPrecondition, {"cannot be loaded", "libbad_plugin_needed.so"}},
      {"null_plugin_id", kInvalid, {"plugin: id is NULL"}},
      {"null_type", kInvalid, {"component #0: type is NULL"}},
      {"null_schema", kInvalid, {"\"bad-null_schema\": config_schema is NULL"}},
      {"null_create", kInvalid, {"\"bad-null_create\": create is NULL"}},
      {"null_destroy", kInvalid, {"destroy is NULL"}},
      {"null_read", kInvalid, {"source.read is NULL"}},
      {"null_ack", kInvalid, {"source.ack is NULL"}},
      {"null_write", kInvalid, {"sink.write is NULL"}},
      {"null_execute", kInvalid, {"executor.execute is NULL"}},
  };
}

class LoadTest : public testing::Test {
 protected:
  LoadTest() : dir_(fs::path(testing::TempDir()) / absl::StrCat("mfn-bad-", getpid())) {
    fs::create_directory(dir_);
    chmod(dir_.c_str(), 0755);
  }
  ~LoadTest() override { fs::remove_all(dir_); }

  const fs::path dir_;
  const std::unique_ptr<Registry> registry_ = Registry::Create({});
};

TEST_F(LoadTest, EachDefectCostsItsFileAndIsNamed) {
  for (const Defect& defect : LoadDefects()) {
    SCOPED_TRACE(defect.plugin);
    const absl::Status status = registry_->LoadFile(Lib(defect.plugin));
    EXPECT_EQ(status.code(), defect.code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(Lib(defect.plugin)));
    for (const char* words : defect.words) {
      EXPECT_THAT(std::string(status.message()), HasSubstr(words));
    }
  }
  EXPECT_TRUE(registry_->plugins().empty());
}

TEST_F(LoadTest, ALaterMinorVersionIsReadUpToWhatThisServerKnows) {
  ASSERT_TRUE(registry_->LoadFile(Lib("larger_struct")).ok());
  EXPECT_EQ(registry_->plugins()[0].abi_minor, 4711u);
  InstanceConfig config;
  config.name = "later";
  config.type = "bad-larger_struct";
  const auto instance = registry_->CreateInstance(config);
  ASSERT_TRUE(instance.ok()) << instance.status();
  EXPECT_EQ((*instance)->Read(1, 1, absl::ZeroDuration(), {}).batch.records().size(), 1u);
}

TEST_F(LoadTest, TextsForPeopleMayBeAbsent) {
  ASSERT_TRUE(registry_->LoadFile(Lib("null_texts")).ok());
  EXPECT_EQ(registry_->plugins()[0].version, "");
  EXPECT_EQ(registry_->FindComponent("bad-null_texts")->summary, "");
}

// How much of a shared object is mapped; debug information and the list of sections come after it.
size_t MappedSize(const std::string& file) {
  Elf64_Ehdr header;
  std::memcpy(&header, file.data(), sizeof(header));
  size_t end = 0;
  for (size_t k = 0; k < header.e_phnum; ++k) {
    Elf64_Phdr segment;
    std::memcpy(&segment, file.data() + header.e_phoff + k * sizeof(segment), sizeof(segment));
    if (segment.p_type == PT_LOAD) end = std::max(end, segment.p_offset + segment.p_filesz);
  }
  return end;
}

// Files that the linker itself refuses, made from a sound one.
TEST_F(LoadTest, FilesThatAreNoLibraryOfThisMachine) {
  const auto error = [&](const std::string& contents) {
    const std::string path = dir_ / "made.so";
    std::ofstream(path, std::ios::binary) << contents;
    const absl::Status status = registry_->LoadFile(path);
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  };
  std::ifstream file(Lib("sound"), std::ios::binary);
  const std::string sound((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(error(""), HasSubstr("not a shared object (no ELF header)"));
  EXPECT_THAT(error("#!/bin/sh\n"), HasSubstr("no ELF header"));
  EXPECT_THAT(error(sound.substr(0, 40)), HasSubstr("no ELF header"));
  EXPECT_THAT(error(sound.substr(0, 100)), HasSubstr("cut short"));
  // Mapped as it is, this one would end the process.
  EXPECT_THAT(error(sound.substr(0, MappedSize(sound) - 1)), HasSubstr("cut short"));
  std::string other_machine = sound;
  other_machine[18] = 0x28;  // e_machine: 32-bit ARM
  EXPECT_THAT(error(other_machine), HasSubstr("built for another machine (ELF machine 40"));
  std::string other_class = sound;
  other_class[4] = 1;  // EI_CLASS: 32 bits
  std::string program = sound;
  program[16] = 2;  // e_type: an executable
  EXPECT_THAT(error(program), HasSubstr("no shared object"));
  EXPECT_THAT(error(other_class), HasSubstr("not a 64-bit shared object"));
}

TEST_F(LoadTest, TheOthersOfADirectoryLoad) {
  for (const Defect& defect : LoadDefects()) {
    fs::copy(Lib(defect.plugin), dir_ / absl::StrCat(defect.plugin, ".so"));
  }
  fs::copy(Lib("sound"), dir_ / "sound.so");
  std::vector<LoadError> errors;
  ASSERT_TRUE(registry_->LoadDirectory(dir_, &errors).ok());
  EXPECT_EQ(errors.size(), LoadDefects().size());
  ASSERT_EQ(registry_->plugins().size(), 1u);
  EXPECT_EQ(registry_->plugins()[0].path, dir_ / "sound.so");
}

}  // namespace
}  // namespace mfn::registry
