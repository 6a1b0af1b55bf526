// SPDX-License-Identifier: Apache-2.0
#include "tools/publish/oci_documents.hpp"

#include "base/json.hpp"
#include "base/text.hpp"
#include "trust/hasher.hpp"

#include <fmt/format.h>
#include <utility>

namespace sluice::tools {

namespace {

constexpr std::size_t kMaxManifest = 4 * 1024 * 1024;
constexpr const char* kZeroTime = "0001-01-01T00:00:00Z"; // as cosign writes it: no clock goes into what is signed

Document document(std::string_view media_type, const Json& json)
{
    Document result;
    result.media_type = media_type;
    result.bytes = json.dump(-1, ' ', false, Json::error_handler_t::replace); // members sorted by name
    result.digest = trust::sha256(as_byte_span(result.bytes));
    return result;
}

Json descriptor(std::string_view media_type, const Digest& digest, std::uint64_t size)
{
    Json json;
    json["mediaType"] = media_type;
    json["digest"] = digest.to_string();
    json["size"] = size;
    return json;
}

Json descriptor(const Document& document)
{
    return descriptor(document.media_type, document.digest, document.bytes.size());
}

Json manifest_json(const Document& config, Json layers)
{
    Json json;
    json["schemaVersion"] = 2;
    json["mediaType"] = kManifestType;
    json["config"] = descriptor(config);
    json["layers"] = std::move(layers);
    return json;
}

// The layers of a manifest that somebody else may have written.
Result<Json> layers_of(std::string_view manifest)
{
    if (manifest.empty()) {
        return Json::array();
    }
    const auto json = parse_json(manifest, "signature manifest", kMaxManifest);
    if (!json) {
        return fail(json.error());
    }
    const auto* layers = json_member(*json, "layers");
    if (layers == nullptr || !layers->is_array()) {
        return fail(ErrorKind::kInvalid, "signature manifest: no layers");
    }
    for (const auto& layer : *layers) {
        if (json_string(layer, "digest") == nullptr || json_string(layer, "mediaType") == nullptr) {
            return fail(ErrorKind::kInvalid, "signature manifest: a layer without digest or mediaType");
        }
    }
    return *layers;
}

} // namespace

Document make_config(std::string_view architecture, const std::vector<LayerEntry>& layers)
{
    Json diff_ids = Json::array();
    for (const auto& layer : layers) {
        diff_ids.push_back(layer.digest.to_string());
    }
    Json json;
    json["architecture"] = architecture;
    json["os"] = "linux";
    json["os.features"] = Json::array({"erofs"});
    json["config"] = Json::object();
    json["rootfs"]["type"] = "layers";
    json["rootfs"]["diff_ids"] = std::move(diff_ids);
    return document(kConfigType, json);
}

Document make_manifest(const Document& config, const std::vector<LayerEntry>& layers)
{
    Json list = Json::array();
    for (const auto& layer : layers) {
        auto json = descriptor(layer.media_type, layer.digest, layer.size);
        json["annotations"] = layer.annotations;
        list.push_back(std::move(json));
    }
    return document(kManifestType, manifest_json(config, std::move(list)));
}

Document make_index(const Document& manifest, std::string_view architecture)
{
    auto entry = descriptor(manifest);
    entry["platform"]["architecture"] = architecture;
    entry["platform"]["os"] = "linux";
    entry["platform"]["os.features"] = Json::array({"erofs"});
    Json json;
    json["schemaVersion"] = 2;
    json["mediaType"] = kIndexType;
    json["manifests"] = Json::array();
    json["manifests"].push_back(std::move(entry));
    return document(kIndexType, json);
}

Result<SignatureDocuments> add_signature(std::string_view existing, const trust::SimpleSigning& signature)
{
    auto layers = layers_of(existing);
    if (!layers) {
        return fail(layers.error());
    }
    if (layers->size() >= trust::kMaxSignatures) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format(
                "signature manifest: it holds {} signatures already, and readers look at no more", layers->size()
            )
        );
    }
    const auto payload = trust::sha256(as_byte_span(signature.payload));
    auto layer = descriptor(trust::kSimpleSigningMediaType, payload, signature.payload.size());
    layer["annotations"][std::string{trust::kSimpleSigningAnnotation}] = signature.signature;
    layers->push_back(std::move(layer));

    Json config;
    config["architecture"] = "";
    config["os"] = "";
    config["created"] = kZeroTime;
    config["config"] = Json::object();
    config["rootfs"]["type"] = "layers";
    config["rootfs"]["diff_ids"] = Json::array();
    config["history"] = Json::array();
    for (const auto& each : *layers) {
        config["rootfs"]["diff_ids"].push_back(*json_string(each, "digest"));
        config["history"].push_back({{"created", kZeroTime}});
    }
    SignatureDocuments result;
    result.config = document(kConfigType, config);
    result.manifest = document(kManifestType, manifest_json(result.config, std::move(*layers)));
    return result;
}

bool has_signature(std::string_view existing, std::string_view payload, const trust::PublicKey& key)
{
    const auto layers = layers_of(existing);
    if (!layers) {
        return false;
    }
    const auto digest = trust::sha256(as_byte_span(payload)).to_string();
    for (const auto& layer : *layers) {
        const auto* annotations = json_member(layer, "annotations");
        const auto* text =
            annotations == nullptr ? nullptr : json_string(*annotations, trust::kSimpleSigningAnnotation.data());
        if (*json_string(layer, "digest") != digest || text == nullptr) {
            continue;
        }
        const auto signature = decode_base64(*text);
        if (signature && key.verify(as_byte_span(payload), *signature)) {
            return true;
        }
    }
    return false;
}

} // namespace sluice::tools
