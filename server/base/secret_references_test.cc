// References of config_data: found when the file is read, resolved again later, and nothing else.
#include "server/base/secret_references.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace mfn {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class SecretReferencesTest : public testing::Test {
 protected:
  SecretReferencesTest() {
    std::string pattern = testing::TempDir() + "mfn-references-XXXXXX";
    dir_ = mkdtemp(pattern.data());
    Write("db", "first\n");
    const auto config = LoadConfigText(R"(connectors:
  - name: api
    connector_type: rest
    config_data:
      user: "${USER_NAME}"
      url: "https://${USER_NAME}:${file:db}@host"
      headers: [{name: a/b, "a/b": "${file:db}"}]
      port: ${PORT}
      plain: kept
)",
                                       "t.yaml", dir_, Env());
    EXPECT_TRUE(config.ok()) << config.status();
    config_ = config->connectors[0];
  }
  ~SecretReferencesTest() override { std::filesystem::remove_all(dir_); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ + "/" + name) << text;
  }
  EnvLookup Env() {
    return [this](const std::string& name) -> std::optional<std::string> {
      if (name == "USER_NAME") return user_;
      return name == "PORT" ? std::optional<std::string>("80") : std::nullopt;
    };
  }
  std::string Field(const std::string& field) {
    const auto value = ResolveField(config_, field, Env());
    return value.ok() ? *value : std::string(value.status().message());
  }

  std::string dir_, user_ = "me";
  InstanceConfig config_;
};

TEST_F(SecretReferencesTest, AFieldHasItsPresentValue) {
  EXPECT_EQ(Field("/url"), "https://me:first@host");
  Write("db", "second");
  user_ = "you";
  EXPECT_EQ(Field("/url"), "https://you:second@host");
  EXPECT_EQ(Field("/user"), "you");
  EXPECT_EQ(Field("/headers/0/a~1b"), "second") << "names are escaped as JSON pointers are";
  EXPECT_EQ(Field("/plain"), "kept");
}

TEST_F(SecretReferencesTest, WhatIsNoStringOfTheConfigurationIsNotFound) {
  for (const char* field :
       {"/port", "/absent", "/headers", "", "plain", "/headers/x", "${file:db}"}) {
    EXPECT_TRUE(absl::IsNotFound(ResolveField(config_, field, Env()).status())) << field;
  }
}

TEST_F(SecretReferencesTest, AFileThatIsGoneIsNamedAndNoValueIs) {
  std::filesystem::remove(dir_ + "/db");
  EXPECT_THAT(Field("/url"),
              AllOf(HasSubstr("/url"), HasSubstr("${file:db}"), Not(HasSubstr("first"))));
  EXPECT_FALSE(ResolveAll(config_, Env()).ok());
}

TEST_F(SecretReferencesTest, AllOfThemAtOnce) {
  EXPECT_EQ(*ResolveAll(config_, Env()), config_.config_json) << "nothing has changed";
  Write("db", "second");
  const auto now = nlohmann::json::parse(*ResolveAll(config_, Env()));
  EXPECT_EQ(now["url"], "https://me:second@host");
  EXPECT_EQ(now["headers"][0]["a/b"], "second");
  EXPECT_EQ(now["port"], 80) << "only strings are resolved again";
}

TEST_F(SecretReferencesTest, AConfigurationByRpcHasNone) {
  const auto config = ParseInstanceJson(
      R"({"name": "x", "connector_type": "rest", "config_data": {"a": "${file:/etc/passwd}"}})",
      InstanceRole::kConnector);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->references.empty());
  EXPECT_EQ(*ResolveField(*config, "/a", Env()), "${file:/etc/passwd}") << "as it was given";
}

}  // namespace
}  // namespace mfn
