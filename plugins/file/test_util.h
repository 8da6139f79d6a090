// What the tests of the file plugin share: the real shared object and a directory of their own.
#ifndef MFN_PLUGINS_FILE_TEST_UTIL_H_
#define MFN_PLUGINS_FILE_TEST_UTIL_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "mfn/testing.hpp"

namespace mfn::file {

using sdk::testing::Input;
using sdk::testing::Instance;
using sdk::testing::Result;
namespace fs = std::filesystem;

inline const mfn_component& FileComponent() {
  static const sdk::testing::Library library(MFN_FILE_PLUGIN);
  return library.component("file");
}

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string name = (fs::path(::testing::TempDir()) / "mfn-file-XXXXXX").string();
    dir_ = fs::canonical(::mkdtemp(name.data())).string();
    fs::create_directories(dir_ + "/in");
  }
  ~FileTest() override {
    std::error_code ignored;
    fs::remove_all(dir_, ignored);
  }
  std::string Path(const std::string& name) const { return dir_ + "/" + name; }
  void Put(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::binary) << text;
  }
  std::string Get(const std::string& name) const {
    std::ifstream in(Path(name), std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  std::set<std::string> Names(const std::string& name) const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(Path(name))) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }
  // A config with "path" in this test's directory and more members.
  std::string Config(const std::string& path, const std::string& members) const {
    return R"({"path": ")" + Path(path) + "\"" + (members.empty() ? "" : ", ") + members + "}";
  }
  static sdk::Status Validate(const std::string& config) {
    sdk::testing::Host host;
    return Instance::Validate(host, FileComponent(), config);
  }

  // Reads and acks until the source ends; every record's payload, in order.
  static std::vector<std::string> ReadAll(Instance& source,
                                          std::vector<std::string>* ids = nullptr) {
    std::vector<std::string> all;
    for (int i = 0; i < 10'000; ++i) {
      Result result = source.Read(100, 1 << 20, std::chrono::seconds(5));
      for (const std::string& payload : result.payloads()) all.push_back(payload);
      if (ids != nullptr) {
        for (const std::string& id : result.ids()) ids->push_back(id);
      }
      if (result.size() > 0) {
        EXPECT_TRUE(source.Ack(result.ack_id()).ok());
      }
      if (result.status.code != MFN_OK) {
        EXPECT_EQ(result.status.code, MFN_END) << result.status.message;
        break;
      }
    }
    return all;
  }

  sdk::testing::Host host_;
  std::string dir_;
};

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_TEST_UTIL_H_
