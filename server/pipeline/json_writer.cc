// Results as proto3 JSON, written by hand: one pass, no reflection. A test holds it to protobuf's
// own reading of the text. Names are those of the proto's json_name.

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "server/pipeline/codec.h"

namespace mfn::pipeline {
namespace {

// Appends the members of one object. Scopes nest: Object inside Object.
class Writer {
 public:
  explicit Writer(std::string* out) : out_(out) {}

  template <typename Body>
  void Object(absl::string_view name, const Body& body) {
    Name(name);
    out_->push_back('{');
    first_ = true;
    body();
    out_->push_back('}');
    first_ = false;
  }
  void Text(absl::string_view name, absl::string_view value) {
    Name(name);
    Quote(value);
  }
  void Flag(absl::string_view name, bool value) {
    Name(name);
    out_->append(value ? "true" : "false");
  }
  void Whole(absl::string_view name, int64_t value) {
    Name(name);
    Number(value);
  }
  // 64-bit integers are strings in proto3 JSON.
  template <typename Int>
  void Long(absl::string_view name, Int value) {
    Name(name);
    out_->push_back('"');
    Number(value);
    out_->push_back('"');
  }
  void Real(absl::string_view name, double value) {
    Name(name);
    if (std::isnan(value)) {
      out_->append("\"NaN\"");
    } else if (std::isinf(value)) {
      out_->append(value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    } else if (value == 0 && std::signbit(value)) {
      out_->append("-0.0");  // "-0" is read as the integer
    } else {
      Number(value);  // the shortest text that reads back as the same bits
    }
  }
  void Base64(absl::string_view name, absl::string_view bytes) {
    Name(name);
    out_->push_back('"');
    out_->append(absl::Base64Escape(bytes));
    out_->push_back('"');
  }
  template <typename Texts>
  void List(absl::string_view name, const Texts& texts) {
    Name(name);
    out_->push_back('[');
    bool first = true;
    for (const auto& text : texts) {
      if (!first) out_->push_back(',');
      first = false;
      Quote(text);
    }
    out_->push_back(']');
  }

 private:
  void Name(absl::string_view name) {
    if (!first_) out_->push_back(',');
    first_ = false;
    if (name.empty()) return;  // the outermost object
    out_->push_back('"');
    out_->append(name.data(), name.size());
    out_->append("\":");
  }

  template <typename T>
  void Number(T value) {
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value);
    out_->append(text, end.ptr);
  }

  void Quote(absl::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    out_->push_back('"');
    for (const char c : text) {
      if (c == '"' || c == '\\') {
        out_->push_back('\\');
        out_->push_back(c);
      } else if (static_cast<unsigned char>(c) < 0x20) {
        out_->append("\\u00");
        out_->push_back(kHex[(c >> 4) & 15]);
        out_->push_back(kHex[c & 15]);
      } else {
        out_->push_back(c);
      }
    }
    out_->push_back('"');
  }

  std::string* const out_;
  bool first_ = true;
};

// By reflection: they are few, and rarely there.
void WriteKinetics(Writer& w, const mfn::v1::Kinetics& kinetics) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  kinetics.GetReflection()->ListFields(kinetics, &fields);
  w.Object("kinetics", [&] {
    if (fields.empty()) return;
    const google::protobuf::Message& model =
        kinetics.GetReflection()->GetMessage(kinetics, fields[0]);
    w.Object(fields[0]->name(), [&] {
      std::vector<const google::protobuf::FieldDescriptor*> parameters;
      model.GetReflection()->ListFields(model, &parameters);
      for (const auto* parameter : parameters) {
        w.Real(parameter->name(), model.GetReflection()->GetDouble(model, parameter));
      }
    });
  });
}

void WriteConfig(Writer& w, const mfn::v1::SimulationConfig& config) {
  w.Object("config", [&] {
    w.Whole("grid_size", config.grid_size());
    w.Whole("steps", config.steps());
    w.Real("alpha", config.alpha());
    w.Real("spike_probability", config.spike_probability());
    w.Flag("turing_enabled", config.turing_enabled());
    w.Real("turing_threshold", config.turing_threshold());
    w.Flag("quantum_jitter", config.quantum_jitter());
    w.Real("jitter_var", config.jitter_var());
    if (!config.has_kinetics()) {
      w.Real("d_activator", config.d_activator());
      w.Real("d_inhibitor", config.d_inhibitor());
      w.Real("r_activator", config.r_activator());
      w.Real("r_inhibitor", config.r_inhibitor());
    }
    w.Text("boundary", mfn::v1::Boundary_Name(config.boundary()));
    w.Text("mode", mfn::v1::SimulationMode_Name(config.mode()));
    w.Text("precision", mfn::v1::Precision_Name(config.precision()));
    if (config.has_kinetics()) WriteKinetics(w, config.kinetics());
    if (!config.pattern_preset().empty()) w.Text("pattern_preset", config.pattern_preset());
    if (config.has_time_step()) w.Real("time_step", config.time_step());
    if (config.has_spacing()) w.Real("spacing", config.spacing());
  });
}

void WriteStatistics(Writer& w, const mfn::v1::SimulationStatistics& statistics) {
  w.Object("statistics", [&] {
    w.Real("field_min_v", statistics.field_min_v());
    w.Real("field_max_v", statistics.field_max_v());
    w.Real("field_mean_v", statistics.field_mean_v());
    w.Real("field_std_v", statistics.field_std_v());
    w.Real("activator_mean", statistics.activator_mean());
    w.Real("inhibitor_mean", statistics.inhibitor_mean());
    if (statistics.has_fractal_dimension()) {
      w.Real("fractal_dimension", statistics.fractal_dimension());
    }
  });
}

void WriteFeatures(Writer& w, const mfn::v1::Features& features) {
  w.Object("features", [&] {
    w.Real("D_box", features.d_box());
    w.Real("D_r2", features.d_r2());
    w.Real("V_min", features.v_min());
    w.Real("V_max", features.v_max());
    w.Real("V_mean", features.v_mean());
    w.Real("V_std", features.v_std());
    w.Real("V_skew", features.v_skew());
    w.Real("V_kurt", features.v_kurt());
    w.Real("dV_mean", features.dv_mean());
    w.Real("dV_max", features.dv_max());
    w.Real("T_stable", features.t_stable());
    w.Real("E_trend", features.e_trend());
    w.Real("f_active", features.f_active());
    w.Real("N_clusters_low", features.n_clusters_low());
    w.Real("N_clusters_med", features.n_clusters_med());
    w.Real("N_clusters_high", features.n_clusters_high());
    w.Real("max_cluster_size", features.max_cluster_size());
    w.Real("cluster_size_std", features.cluster_size_std());
  });
}

void WriteError(Writer& w, const mfn::v1::SimulationError& error) {
  w.Object("error", [&] {
    w.Text("code", error.code());
    w.Text("reason", error.reason());
    w.Text("message", error.message());
    if (!error.field().empty()) w.Text("field", error.field());
  });
}

void WriteField(Writer& w, absl::string_view name, const mfn::v1::Field& field) {
  w.Object(name, [&] {
    w.Whole("rows", field.rows());
    w.Whole("cols", field.cols());
    w.Base64("data", field.data());
    w.Text("encoding", mfn::v1::FieldEncoding_Name(field.encoding()));
  });
}

void WriteSeries(Writer& w, absl::string_view name, const mfn::v1::FieldSeries& series) {
  w.Object(name, [&] {
    w.Long("frames", series.frames());
    w.Whole("rows", series.rows());
    w.Whole("cols", series.cols());
    w.Base64("data", series.data());
    w.Text("encoding", mfn::v1::FieldEncoding_Name(series.encoding()));
  });
}

void WriteFeatureConfig(Writer& w, const mfn::v1::FeatureConfig& config) {
  w.Object("feature_config", [&] {
    if (config.has_min_box_size()) w.Whole("min_box_size", config.min_box_size());
    if (config.has_max_box_size()) w.Whole("max_box_size", config.max_box_size());
    if (config.has_num_scales()) w.Whole("num_scales", config.num_scales());
    if (config.has_threshold_low_mv()) w.Real("threshold_low_mv", config.threshold_low_mv());
    if (config.has_threshold_med_mv()) w.Real("threshold_med_mv", config.threshold_med_mv());
    if (config.has_threshold_high_mv()) w.Real("threshold_high_mv", config.threshold_high_mv());
    if (config.has_stability_threshold_mv()) {
      w.Real("stability_threshold_mv", config.stability_threshold_mv());
    }
    if (config.has_stability_window()) w.Whole("stability_window", config.stability_window());
    if (config.has_connectivity()) w.Whole("connectivity", config.connectivity());
  });
}

void WriteSnapshot(Writer& w, const mfn::v1::Snapshot& snapshot) {
  w.Object("snapshot", [&] {
    w.Text("engine_revision", snapshot.engine_revision());
    if (snapshot.has_config()) WriteConfig(w, snapshot.config());
    if (snapshot.has_feature_config()) WriteFeatureConfig(w, snapshot.feature_config());
    w.Text("seed", snapshot.seed());
    w.Whole("growth_events", snapshot.growth_events());
    w.Long("turing_activations", snapshot.turing_activations());
    w.Long("clamping_events", snapshot.clamping_events());
    if (snapshot.has_field()) WriteField(w, "field", snapshot.field());
    if (snapshot.has_activator()) WriteField(w, "activator", snapshot.activator());
    if (snapshot.has_inhibitor()) WriteField(w, "inhibitor", snapshot.inhibitor());
    if (snapshot.has_generator()) {
      const mfn::v1::GeneratorState& generator = snapshot.generator();
      w.Object("generator", [&] {
        w.Long("state_high", generator.state_high());
        w.Long("state_low", generator.state_low());
        w.Long("increment_high", generator.increment_high());
        w.Long("increment_low", generator.increment_low());
        if (generator.has_buffered()) w.Whole("buffered", generator.buffered());
      });
    }
    if (snapshot.has_features()) {
      const mfn::v1::FeatureState& state = snapshot.features();
      w.Object("features", [&] {
        w.Long("stable_run", state.stable_run());
        if (state.has_stable_at()) w.Long("stable_at", state.stable_at());
        w.Real("change_sum", state.change_sum());
        w.Real("change_max", state.change_max());
        w.Real("energy_mean", state.energy_mean());
        w.Real("energy_covariance", state.energy_covariance());
        w.Base64("pending", state.pending());
      });
    }
  });
}

}  // namespace

std::string ToJson(const mfn::v1::SimulationResult& result) {
  std::string text;
  text.reserve(2048);
  Writer w(&text);
  w.Object("", [&] {
    w.Text("request_id", result.request_id());
    w.Text("status", mfn::v1::SimulationResult::Status_Name(result.status()));
    if (result.has_config()) WriteConfig(w, result.config());
    if (!result.seed().empty()) w.Text("seed", result.seed());
    if (result.status() == mfn::v1::SimulationResult::STATUS_OK) {
      w.Whole("steps_computed", result.steps_computed());
      w.Whole("growth_events", result.growth_events());
      w.Long("turing_activations", result.turing_activations());
      w.Long("clamping_events", result.clamping_events());
    }
    if (result.has_statistics()) WriteStatistics(w, result.statistics());
    if (result.has_features()) WriteFeatures(w, result.features());
    w.Text("engine_revision", result.engine_revision());
    if (!result.idempotency_key().empty()) w.Text("idempotency_key", result.idempotency_key());
    if (result.has_timing()) {
      w.Object("timing", [&] { w.Real("simulate_ms", result.timing().simulate_ms()); });
    }
    if (result.warnings_size() > 0) w.List("warnings", result.warnings());
    if (result.has_error()) WriteError(w, result.error());
    // Pipelines never ask for these; gRPC has its own encoding. Complete all the same.
    if (result.has_field()) WriteField(w, "field", result.field());
    if (result.has_history()) WriteSeries(w, "history", result.history());
    if (result.has_snapshot()) WriteSnapshot(w, result.snapshot());
  });
  return text;
}

}  // namespace mfn::pipeline
