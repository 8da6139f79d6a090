#include "server/rpc/plugin_service.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "mfn/v1/plugin_service.grpc.pb.h"
#include "server/rpc/proto_read.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

void ToProto(const registry::PluginInfo& from, mfn::v1::Plugin* to) {
  to->set_name(absl::StrCat("plugins/", from.id));
  to->set_version(from.version);
  to->set_vendor(from.vendor);
  to->set_license(from.license);
  to->set_path(from.path);
  to->set_abi_minor(from.abi_minor);
  for (const registry::ComponentInfo& info : from.components) {
    mfn::v1::Component* component = to->add_components();
    component->set_type(info.type);
    component->set_summary(info.summary);
    // The registry has parsed it as an object; a schema past what Struct can hold stays empty.
    (void)google::protobuf::util::JsonStringToMessage(info.config_schema,
                                                      component->mutable_config_schema());
    component->set_source(info.source);
    component->set_sink(info.sink);
    component->set_executor(info.executor);
    component->set_deferred(info.deferred);
    component->set_dedups_by_key(info.dedups_by_key);
  }
}

class PluginService final : public mfn::v1::PluginService::CallbackService {
 public:
  PluginService(CallRunner* calls, registry::Registry* registry)
      : calls_(calls), registry_(registry) {}

  grpc::ServerUnaryReactor* ListPlugins(grpc::CallbackServerContext* context,
                                        const mfn::v1::ListPluginsRequest* request,
                                        mfn::v1::ListPluginsResponse* response) override {
    return calls_->Unary(context, "mfn.v1.PluginService/ListPlugins", Lane::kBlocking,
                         [=, this](const CallInfo&) { return List(*request, response); });
  }

  grpc::ServerUnaryReactor* GetPlugin(grpc::CallbackServerContext* context,
                                      const mfn::v1::GetPluginRequest* request,
                                      mfn::v1::Plugin* plugin) override {
    return calls_->Unary(context, "mfn.v1.PluginService/GetPlugin", Lane::kBlocking,
                         [=, this](const CallInfo&) { return Get(*request, plugin); });
  }

 private:
  std::vector<registry::PluginInfo> Sorted() const {
    std::vector<registry::PluginInfo> plugins = registry_->plugins();
    std::sort(plugins.begin(), plugins.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    return plugins;
  }

  absl::Status List(const mfn::v1::ListPluginsRequest& request,
                    mfn::v1::ListPluginsResponse* response) {
    auto page = ReadPage(request.page_size(), request.page_token());
    if (!page.ok()) return page.status();
    std::string last;
    for (const registry::PluginInfo& plugin : Sorted()) {
      if (!page->after.empty() && plugin.id <= page->after) continue;
      if (static_cast<size_t>(response->plugins_size()) == page->size) {
        response->set_next_page_token(PageToken(last));
        return absl::OkStatus();
      }
      ToProto(plugin, response->add_plugins());
      last = plugin.id;
    }
    return absl::OkStatus();
  }

  absl::Status Get(const mfn::v1::GetPluginRequest& request, mfn::v1::Plugin* response) {
    for (const registry::PluginInfo& plugin : registry_->plugins()) {
      if (request.name() != absl::StrCat("plugins/", plugin.id)) continue;
      ToProto(plugin, response);
      return absl::OkStatus();
    }
    return Error(absl::StatusCode::kNotFound, "PLUGIN_NOT_FOUND",
                 absl::StrCat("no plugin is named \"", request.name(),
                              "\"; ListPlugins names all that are loaded"),
                 {{"name", request.name()}});
  }

  CallRunner* const calls_;
  registry::Registry* const registry_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakePluginService(CallRunner* calls, registry::Registry* registry) {
  return std::make_unique<PluginService>(calls, registry);
}

}  // namespace mfn::rpc
