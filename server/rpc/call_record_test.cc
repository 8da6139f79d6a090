// A call's id, as the client gives it or as it is made, and how calls are counted.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "mfn/v1/analysis_service.grpc.pb.h"
#include "server/rpc/test_server.h"

namespace mfn::rpc {
namespace {

class CallRecordTest : public testing::Test {
 protected:
  // The id that the server answers a call with.
  std::string IdOf(const std::string& given, int z_valence = 1) {
    grpc::ClientContext context;
    if (!given.empty()) context.AddMetadata("x-request-id", given);
    mfn::v1::ComputeNernstRequest request;
    mfn::v1::ComputeNernstResponse response;
    request.set_z_valence(z_valence);
    request.set_concentration_out_molar(0.1);
    request.set_concentration_in_molar(0.01);
    last_ = stub_->ComputeNernst(&context, request, &response);
    const auto& metadata = context.GetServerInitialMetadata();
    const auto id = metadata.find("x-request-id");
    return id == metadata.end() ? "" : std::string(id->second.data(), id->second.size());
  }
  double Calls(const std::string& code) {
    MetricSet figures;
    server_.calls().Collect(&figures);
    const auto& families = figures.families();
    const auto calls = families.find("mfn_rpc_calls_total");
    if (calls == families.end()) return 0;
    for (const MetricSample& sample : calls->second.samples) {
      for (const auto& [name, value] : sample.labels) {
        if (name == "code" && value == code) return sample.value;
      }
    }
    return 0;
  }

  TestServer server_;
  std::unique_ptr<mfn::v1::AnalysisService::Stub> stub_ =
      mfn::v1::AnalysisService::NewStub(server_.channel());
  grpc::Status last_;
};

TEST_F(CallRecordTest, AnIdThatCanBeShownGoesBackAsItCame) {
  const std::string longest(128, 'a');
  for (const std::string& id : {std::string("7"), std::string("a._~:/@+=-Z9"), longest}) {
    EXPECT_EQ(IdOf(id), id);
  }
}

TEST_F(CallRecordTest, AnyOtherIsReplacedByOneThatIsMade) {
  const std::string made = IdOf("");
  EXPECT_EQ(made.size(), 16u);
  EXPECT_NE(IdOf(""), made);
  for (const std::string& id : {std::string(129, 'a'), std::string("two words"),
                                std::string("quote\""), std::string("a,b")}) {
    const std::string answer = IdOf(id);
    EXPECT_NE(answer, id);
    EXPECT_EQ(answer.size(), 16u) << answer;
  }
}

TEST_F(CallRecordTest, CallsAreCountedByHowTheyEnd) {
  for (int k = 0; k < 3; ++k) IdOf("");
  EXPECT_TRUE(last_.ok());
  IdOf("", /*z_valence=*/0);
  EXPECT_EQ(last_.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Calls("OK"), 3);
  EXPECT_EQ(Calls("INVALID_ARGUMENT"), 1);
  EXPECT_EQ(Calls("CANCELLED"), 0) << "each call ended once";
}

}  // namespace
}  // namespace mfn::rpc
