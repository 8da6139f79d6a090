// AnalysisService through a real channel: golden values arrive, bad input names its field.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "mfn/v1/analysis_service.grpc.pb.h"
#include "server/engine/golden_test_util.h"
#include "server/engine/rng.h"
#include "server/rpc/test_server.h"

namespace mfn::rpc {
namespace {

using mfn::v1::AnalysisService;

class AnalysisTest : public ::testing::Test {
 protected:
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (AnalysisService::Stub::*method)(grpc::ClientContext*,
                                                                  const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    return (stub_.get()->*method)(&context, request, response);
  }

  TestServer server_;
  std::unique_ptr<AnalysisService::Stub> stub_ = AnalysisService::NewStub(server_.channel());
};

TEST_F(AnalysisTest, NernstOfPotassium) {
  mfn::v1::ComputeNernstRequest request;
  request.set_concentration_out_molar(0.005);
  request.set_concentration_in_molar(0.14);
  mfn::v1::ComputeNernstResponse response;
  ASSERT_TRUE(Call(&AnalysisService::Stub::ComputeNernst, request, &response).ok());
  EXPECT_EQ(response.potential_v(), -0x1.6c96738dd6ddep-4);
  EXPECT_EQ(response.potential_mv(), -89.01066911987907);
}

TEST_F(AnalysisTest, NernstRefusesWhatHasNoAnswer) {
  mfn::v1::ComputeNernstRequest request;
  mfn::v1::ComputeNernstResponse response;
  EXPECT_EQ(DetailsOf(Call(&AnalysisService::Stub::ComputeNernst, request, &response)).field,
            "concentration_out_molar");
  request.set_concentration_out_molar(0.1);
  request.set_concentration_in_molar(0);
  EXPECT_EQ(DetailsOf(Call(&AnalysisService::Stub::ComputeNernst, request, &response)).field,
            "concentration_in_molar");
  request.set_concentration_in_molar(0.1);
  request.set_z_valence(0);
  EXPECT_EQ(DetailsOf(Call(&AnalysisService::Stub::ComputeNernst, request, &response)).field,
            "z_valence");
}

TEST_F(AnalysisTest, IfsRepeatsTheGoldenExponents) {
  for (const nlohmann::json& golden : engine::GoldenCases("math.json", "ifs")) {
    if (golden.at("num_points").get<int>() < 1) continue;
    mfn::v1::GenerateIfsRequest request;
    request.set_wide_seed(golden.at("seed").get<std::string>());
    request.set_num_points(golden.at("num_points"));
    request.set_num_transforms(golden.at("num_transforms"));
    request.set_include_points(true);
    mfn::v1::GenerateIfsResponse response;
    ASSERT_TRUE(Call(&AnalysisService::Stub::GenerateIfs, request, &response).ok());
    EXPECT_NEAR(response.lyapunov_exponent(), engine::GoldenNumber(golden.at("lyapunov")), 1e-12);
    EXPECT_EQ(response.points().size(), 16u * golden.at("num_points").get<size_t>());
    EXPECT_EQ(response.transforms_size(), golden.at("num_transforms").get<int>());
    EXPECT_EQ(response.seed(), golden.at("seed").get<std::string>());
  }
}

TEST_F(AnalysisTest, BoxDimensionOfGoldenImages) {
  for (const nlohmann::json& golden : engine::GoldenCases("math.json", "box_count")) {
    if (!golden.contains("dimension_feature") || golden.at("dimension_feature").is_null()) continue;
    const int n = golden.at("n");
    if (golden.at("min_box_size").get<int>() < 1 || golden.at("num_scales").get<int>() < 2)
      continue;
    engine::Generator generator{engine::GoldenSeed(golden.at("seed"))};
    std::vector<double> values(static_cast<size_t>(n) * static_cast<size_t>(n));
    for (double& value : values) value = generator.Random();
    mfn::v1::ComputeBoxDimensionRequest request;
    request.mutable_field()->set_rows(n);
    request.mutable_field()->set_cols(n);
    request.mutable_field()->set_data(values.data(), values.size() * sizeof(double));
    request.set_threshold_v(engine::GoldenNumber(golden.at("active_if_random_above")));
    request.set_min_box_size(golden.at("min_box_size"));
    request.set_num_scales(golden.at("num_scales"));
    if (!golden.at("max_box_size").is_null()) request.set_max_box_size(golden.at("max_box_size"));
    mfn::v1::ComputeBoxDimensionResponse response;
    const grpc::Status status =
        Call(&AnalysisService::Stub::ComputeBoxDimension, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.active_cells(), golden.at("active").get<int64_t>());
    EXPECT_NEAR(response.dimension(), engine::GoldenNumber(golden.at("dimension_feature")), 1e-9);
  }
}

TEST_F(AnalysisTest, StdpOfOneTrial) {
  mfn::v1::ComputeStdpRequest request;
  mfn::v1::Vector* pre = request.add_pre_times();
  pre->add_values(0.01);
  pre->add_values(0.02);
  request.add_post_times()->add_values(0.015);
  mfn::v1::ComputeStdpResponse response;
  ASSERT_TRUE(Call(&AnalysisService::Stub::ComputeStdp, request, &response).ok());
  ASSERT_EQ(response.weight_changes_size(), 2);
  EXPECT_NEAR(response.weight_changes(0).values(0), 0.007788007830714049, 1e-14);
  EXPECT_NEAR(response.weight_changes(1).values(0), -0.00934560939685686, 1e-14);
  request.add_post_times()->add_values(0.015);
  EXPECT_EQ(DetailsOf(Call(&AnalysisService::Stub::ComputeStdp, request, &response)).field,
            "post_times");
}

TEST_F(AnalysisTest, AggregationIgnoresAnOutlierAndRefusesNaN) {
  mfn::v1::AggregateGradientsRequest request;
  for (int k = 0; k < 6; ++k) {
    mfn::v1::Vector* gradient = request.add_gradients();
    gradient->add_values(1.0 + 0.001 * k);
    gradient->add_values(2.0 - 0.001 * k);
  }
  request.mutable_gradients(5)->set_values(0, 1e6);
  request.set_num_clusters(1);
  mfn::v1::AggregateGradientsResponse response;
  ASSERT_TRUE(Call(&AnalysisService::Stub::AggregateGradients, request, &response).ok());
  EXPECT_EQ(response.num_input_gradients(), 6);
  EXPECT_NEAR(response.values(0), 1.0, 0.01);
  EXPECT_NEAR(response.values(1), 2.0, 0.01);
  request.mutable_gradients(2)->set_values(1, std::numeric_limits<double>::quiet_NaN());
  const grpc::Status bad = Call(&AnalysisService::Stub::AggregateGradients, request, &response);
  EXPECT_EQ(bad.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailsOf(bad).field.rfind("gradients", 0), 0u);
}

}  // namespace
}  // namespace mfn::rpc
