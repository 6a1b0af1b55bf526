// SPDX-License-Identifier: Apache-2.0
#include "fetcher/manifest.hpp"

#include "base/json.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr std::size_t kMaxDescriptors = 4096;

Failure refuse(std::string_view what, std::string_view why)
{
    return fail(ErrorKind::kInvalid, fmt::format("{}: {}", what, why));
}

/// A string member that may be missing or null; another type is an error.
Result<std::string> optional_string(const Json& object, const char* name, std::string_view what)
{
    const auto* member = json_member(object, name);
    if (member == nullptr || member->is_null()) {
        return std::string{};
    }
    const auto* text = member->get_ptr<const std::string*>();
    if (text == nullptr) {
        return refuse(what, fmt::format("{} is not a string", name));
    }
    return *text;
}

Result<Annotations> parse_annotations(const Json& object, std::string_view what)
{
    Annotations annotations;
    const auto* member = json_member(object, "annotations");
    if (member == nullptr || member->is_null()) {
        return annotations;
    }
    if (!member->is_object()) {
        return refuse(what, "annotations is not an object");
    }
    for (auto it = member->begin(); it != member->end(); ++it) {
        const auto* value = it->get_ptr<const std::string*>();
        if (value == nullptr) {
            return refuse(what, fmt::format("annotation \"{}\" is not a string", printable(it.key())));
        }
        annotations.emplace(it.key(), *value);
    }
    return annotations;
}

std::optional<Platform> parse_platform_object(const Json& object)
{
    const auto* member = json_member(object, "platform");
    if (member == nullptr || !member->is_object()) {
        return std::nullopt;
    }
    const auto text = [member](const char* name) {
        const auto* value = json_string(*member, name);
        return value == nullptr ? std::string{} : *value;
    };
    Platform platform{
        .os = text("os"), .architecture = text("architecture"), .variant = text("variant"), .os_features = {}};
    if (const auto* features = json_member(*member, "os.features"); features != nullptr && features->is_array()) {
        for (const auto& feature : *features) {
            if (const auto* name = feature.get_ptr<const std::string*>()) {
                platform.os_features.push_back(*name);
            }
        }
    }
    return platform;
}

Result<Descriptor> parse_descriptor(const Json& object, std::string_view what)
{
    const auto* type = json_string(object, "mediaType");
    const auto* digest_text = json_string(object, "digest");
    const auto* size = json_member(object, "size");
    if (type == nullptr || digest_text == nullptr || size == nullptr) {
        return refuse(what, "needs mediaType, digest and size");
    }
    if (!size->is_number_unsigned()) {
        return refuse(what, "size is not a whole number");
    }
    auto digest = Digest::parse(*digest_text);
    if (!digest) {
        return fail(digest.error(), what);
    }
    Descriptor descriptor;
    descriptor.media_type = *type;
    descriptor.digest = *digest;
    descriptor.size = size->get<std::uint64_t>();
    if (descriptor.size > static_cast<std::uint64_t>(INT64_MAX)) {
        return refuse(what, "size is beyond all files");
    }
    auto annotations = parse_annotations(object, what);
    if (!annotations) {
        return fail(std::move(annotations.error()));
    }
    descriptor.annotations = std::move(*annotations);
    auto artifact_type = optional_string(object, "artifactType", what);
    if (!artifact_type) {
        return fail(std::move(artifact_type.error()));
    }
    descriptor.artifact_type = std::move(*artifact_type);
    descriptor.platform = parse_platform_object(object);
    return descriptor;
}

Result<std::vector<Descriptor>> parse_descriptors(const Json& array, std::string_view what)
{
    if (!array.is_array() || array.size() > kMaxDescriptors) {
        return refuse(what, fmt::format("is not a list of at most {}", kMaxDescriptors));
    }
    std::vector<Descriptor> descriptors;
    for (const auto& element : array) {
        auto descriptor = parse_descriptor(element, fmt::format("{}[{}]", what, descriptors.size()));
        if (!descriptor) {
            return fail(std::move(descriptor.error()));
        }
        descriptors.push_back(std::move(*descriptor));
    }
    return descriptors;
}

Result<Index> parse_index(const Json& document, std::string type)
{
    auto manifests = parse_descriptors(document.at("manifests"), "index: manifests");
    if (!manifests) {
        return fail(std::move(manifests.error()));
    }
    auto annotations = parse_annotations(document, "index");
    if (!annotations) {
        return fail(std::move(annotations.error()));
    }
    return Index{std::move(type), std::move(*manifests), std::move(*annotations)};
}

Result<Manifest> parse_image(const Json& document, std::string type)
{
    Manifest manifest;
    manifest.media_type = std::move(type);
    auto config = parse_descriptor(document.at("config"), "manifest: config");
    if (!config) {
        return fail(std::move(config.error()));
    }
    manifest.config = std::move(*config);
    auto layers = parse_descriptors(document.at("layers"), "manifest: layers");
    if (!layers) {
        return fail(std::move(layers.error()));
    }
    manifest.layers = std::move(*layers);
    auto annotations = parse_annotations(document, "manifest");
    if (!annotations) {
        return fail(std::move(annotations.error()));
    }
    manifest.annotations = std::move(*annotations);
    auto artifact_type = optional_string(document, "artifactType", "manifest");
    if (!artifact_type) {
        return fail(std::move(artifact_type.error()));
    }
    manifest.artifact_type = std::move(*artifact_type);
    if (const auto* subject = json_member(document, "subject"); subject != nullptr && !subject->is_null()) {
        auto descriptor = parse_descriptor(*subject, "manifest: subject");
        if (!descriptor) {
            return fail(std::move(descriptor.error()));
        }
        manifest.subject = std::move(*descriptor);
    }
    return manifest;
}

bool is_manifest_type(std::string_view type) noexcept
{
    return type == media_type::kOciManifest || type == media_type::kDockerManifest;
}

} // namespace

const std::string* Descriptor::annotation(std::string_view key) const
{
    const auto it = annotations.find(key);
    return it == annotations.end() ? nullptr : &it->second;
}

bool is_index_type(std::string_view type) noexcept
{
    return type == media_type::kOciIndex || type == media_type::kDockerList;
}

Result<ManifestOrIndex> parse_manifest(std::string_view bytes, std::string_view content_type)
{
    auto document = parse_json(bytes, "manifest", kMaxManifestSize);
    if (!document) {
        return fail(std::move(document.error()));
    }
    const auto* version = json_member(*document, "schemaVersion");
    if (version == nullptr || !version->is_number_unsigned() || *version != 2U) {
        return refuse("manifest", "schemaVersion is not 2");
    }
    auto own_type = optional_string(*document, "mediaType", "manifest");
    if (!own_type) {
        return fail(std::move(own_type.error()));
    }
    // Parameters ("; charset=utf-8") are no part of the type.
    const auto given = trim(content_type.substr(0, content_type.find(';')));
    const bool given_known = is_manifest_type(given) || is_index_type(given);
    if (!own_type->empty() && given_known && *own_type != given) {
        return refuse(
            "manifest", fmt::format("says it is {}, the server says {}", printable(*own_type), printable(given))
        );
    }
    auto type = own_type->empty() && given_known ? std::string{given} : std::move(*own_type);
    const bool has_manifests = document->contains("manifests");
    const bool has_layers = document->contains("layers") && document->contains("config");
    // A document that can be read both ways is how one signature would come to cover two contents.
    if (has_manifests && (document->contains("layers") || document->contains("config"))) {
        return refuse("manifest", "is an index and an image manifest at once");
    }
    if (type.empty()) {
        type = has_manifests ? media_type::kOciIndex : media_type::kOciManifest;
    }
    if (is_index_type(type) && has_manifests) {
        auto index = parse_index(*document, std::move(type));
        return index ? Result<ManifestOrIndex>{std::move(*index)} : fail(std::move(index.error()));
    }
    if (is_manifest_type(type) && has_layers) {
        auto manifest = parse_image(*document, std::move(type));
        return manifest ? Result<ManifestOrIndex>{std::move(*manifest)} : fail(std::move(manifest.error()));
    }
    return refuse("manifest", fmt::format("media type \"{}\" does not fit its members", printable(type)));
}

} // namespace sluice::fetcher
