// SPDX-License-Identifier: Apache-2.0
//
// What is pushed when: blobs, config, manifest (and index) by digest, then the signatures of what now lies there, and
// the tag last. Stopped at any point, the tag means what it meant before, and what was pushed is found again by the
// next attempt.
#include "tools/publish/publish.hpp"

#include "base/text.hpp"
#include "fetcher/image_source.hpp"
#include "fetcher/image_target.hpp"
#include "fetcher/manifest.hpp"
#include "fetcher/reference.hpp"
#include "tools/publish/oci_documents.hpp"
#include "tools/publish/packer.hpp"
#include "tools/publish/temp_tree.hpp"
#include "trust/blob_annotations.hpp"
#include "trust/hasher.hpp"
#include "trust/simple_signing.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <iterator>
#include <optional>
#include <utility>

namespace sluice::tools {

namespace {

constexpr milliseconds kSmallDeadline = std::chrono::minutes{2};
constexpr std::uint64_t kSlowestPush = 128 * 1024; // bytes a second; a slower upload is given up

Deadline small_deadline()
{
    return Deadline::after(kSmallDeadline);
}

Deadline push_deadline(std::uint64_t size)
{
    return Deadline::after(kSmallDeadline + std::chrono::seconds{size / kSlowestPush});
}

std::string_view media_type_of(LayerMediaType type)
{
    return type == LayerMediaType::kContainerd23 ? "application/vnd.erofs.layer.v1" : "application/vnd.erofs";
}

// A device's bytes are no file system of their own.
constexpr std::string_view kDeviceMediaType = "application/octet-stream";

struct PendingBlob {
    BlobFile file;
    LayerEntry entry;
    bool is_device = false;
};

class Publisher {
public:
    Publisher(PublishContext context, PublishOptions options, PublishProgress progress)
        : context_{context}, options_{std::move(options)}, reporter_{context.loop, std::move(progress)}
    {}

    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;

    [[nodiscard]] Task<Result<PublishReport>> run()
    {
        if (auto prepared = prepare(); !prepared) {
            co_return fail(prepared.error());
        }
        auto done = co_await pack_layers();
        if (done) {
            done = co_await push_blobs();
        }
        if (done) {
            done = co_await push_documents();
        }
        if (!done) {
            co_return fail(done.error());
        }
        co_return std::move(report_);
    }

private:
    [[nodiscard]] Result<void> prepare();
    void note_layer(const BlobFile& file, bool is_device);
    [[nodiscard]] Task<Result<void>> pack_layers();
    [[nodiscard]] Task<Result<void>> push_blobs();
    [[nodiscard]] Task<Result<void>> push_documents();
    [[nodiscard]] Task<Result<void>> push_bytes(Document document);
    [[nodiscard]] Task<Result<void>> put(std::string tag_or_digest, Document document);
    [[nodiscard]] Task<Result<void>> sign(Digest digest);
    [[nodiscard]] Task<Result<std::string>> existing_signatures(std::string tag);

    PublishContext context_;
    PublishOptions options_;
    Reporter reporter_;
    PublishReport report_;
    fetcher::Reference target_;
    std::string repository_;
    std::optional<trust::PrivateKey> key_;
    std::optional<TempTree> work_;
    std::vector<PendingBlob> blobs_; // in the manifest's order
};

// What can be wrong is found before anything takes time.
Result<void> Publisher::prepare()
{
    auto reference = fetcher::Reference::parse(options_.reference);
    if (!reference) {
        return fail(reference.error());
    }
    if (reference->digest || reference->tag.empty()) {
        return fail(
            ErrorKind::kInvalid, fmt::format("{}: publish to a tag, not to a digest", printable(options_.reference))
        );
    }
    if (options_.inputs.empty()) {
        return fail(ErrorKind::kInvalid, "nothing to publish: give a directory, a tar file or an EROFS image");
    }
    if (auto checked = check_mkfs_options(options_); !checked) {
        return checked;
    }
    if (auto checked = check_architecture(options_.architecture); !options_.architecture.empty() && !checked) {
        return checked;
    }
    auto key = trust::PrivateKey::load(options_.key, options_.passphrase);
    if (!key) {
        return fail(key.error());
    }
    auto work = TempTree::make();
    if (!work) {
        return fail(work.error());
    }
    target_ = std::move(*reference);
    repository_ = target_.repository.to_string();
    key_ = std::move(*key);
    work_ = std::move(*work);
    if (options_.architecture.empty()) {
        options_.architecture = fetcher::host_platform().architecture;
    }
    if (options_.signed_name.empty()) {
        // A layout's path is nobody's business; a registry's name is what cosign signs.
        options_.signed_name = target_.repository.is_layout()
                                   ? std::filesystem::path{target_.repository.name}.filename().string()
                                   : repository_;
    }
    report_.reference = target_.to_string();
    report_.key_id = key_->public_key().id();
    report_.key_name = key_->public_key().name();
    return {};
}

Task<Result<void>> Publisher::pack_layers()
{
    Packer packer{context_, options_, reporter_, work_->path(), report_.notes};
    for (unsigned i = 0; i < options_.inputs.size(); ++i) {
        auto layer = co_await packer.pack(options_.inputs[i], i + 1);
        if (!layer) {
            co_return fail(layer.error());
        }
        for (const auto& device : layer->devices) {
            note_layer(device, true);
        }
        note_layer(layer->image, false);
    }
    co_return Result<void>{};
}

void Publisher::note_layer(const BlobFile& file, bool is_device)
{
    PendingBlob blob;
    blob.file = file;
    blob.is_device = is_device;
    blob.entry.media_type = is_device ? kDeviceMediaType : media_type_of(options_.media_type);
    blob.entry.digest = file.digest;
    blob.entry.size = file.size;
    blob.entry.annotations = file.annotations();
    if (is_device) {
        blob.entry.annotations.emplace(trust::kRoleAnnotation, "device");
    }
    blobs_.push_back(std::move(blob));
}

Task<Result<void>> Publisher::push_blobs()
{
    for (std::size_t i = 0; i < blobs_.size(); ++i) {
        const auto& blob = blobs_[i];
        const auto size = blob.file.size;
        const auto phase = fmt::format("push blob {} of {}", i + 1, blobs_.size());
        const auto there = co_await context_.target.blob_exists(repository_, blob.file.digest, small_deadline());
        if (!there) {
            co_return fail(there.error());
        }
        if (!*there) {
            reporter_.report(phase, 0, size);
            fetcher::PushProgress progress = [this, phase, size](std::uint64_t sent) {
                reporter_.report(phase, sent, size);
            };
            const auto pushed = co_await context_.target.push_blob(
                repository_, blob.file.fd->get(), blob.file.digest, size, std::move(progress), push_deadline(size)
            );
            if (!pushed) {
                co_return fail(pushed.error());
            }
        }
        reporter_.report(phase, size, size);
        PublishedLayer layer;
        layer.digest = blob.file.digest;
        layer.size = size;
        layer.erofs_size = blob.file.data_size;
        layer.root = blob.file.root;
        layer.is_device = blob.is_device;
        layer.was_there = *there;
        report_.layers.push_back(layer);
    }
    co_return Result<void>{};
}

Task<Result<void>> Publisher::push_bytes(Document document)
{
    auto pushed = co_await context_.target.push_blob_bytes(
        repository_, std::move(document.bytes), document.digest, small_deadline()
    );
    co_return pushed;
}

Task<Result<void>> Publisher::put(std::string tag_or_digest, Document document)
{
    auto done = co_await context_.target.put_manifest(
        repository_,
        std::move(tag_or_digest),
        std::move(document.media_type),
        std::move(document.bytes),
        small_deadline()
    );
    co_return done;
}

Task<Result<void>> Publisher::push_documents()
{
    reporter_.report("sign", 0, 0);
    std::vector<LayerEntry> layers;
    for (const auto& blob : blobs_) {
        layers.push_back(blob.entry);
    }
    const auto config = make_config(options_.architecture, layers);
    const auto manifest = make_manifest(config, layers);
    std::vector<Document> signed_documents{manifest};
    if (options_.index) {
        signed_documents.push_back(make_index(manifest, options_.architecture));
    }
    auto done = co_await push_bytes(config);
    for (std::size_t i = 0; done && i < signed_documents.size(); ++i) {
        done = co_await put(signed_documents[i].digest.to_string(), signed_documents[i]);
        if (done) {
            done = co_await sign(signed_documents[i].digest);
        }
    }
    if (done) {
        done = co_await put(target_.tag, signed_documents.back());
    }
    if (!done) {
        co_return done;
    }
    report_.manifest = manifest.digest;
    report_.digest = signed_documents.back().digest;
    reporter_.report("sign", 1, 1);
    co_return Result<void>{};
}

// The signature manifest that is there already, or nothing.
Task<Result<std::string>> Publisher::existing_signatures(std::string tag)
{
    auto found = co_await context_.source.fetch_manifest(repository_, std::move(tag), small_deadline());
    if (found) {
        co_return std::move(found->bytes);
    }
    if (found.error().kind() == ErrorKind::kNotFound) {
        co_return std::string{};
    }
    co_return fail(found.error(), "looking for signatures that are there already");
}

Task<Result<void>> Publisher::sign(Digest digest)
{
    const auto tag = trust::signature_tag(digest);
    report_.signature_tags.push_back(tag);
    const auto signature = trust::make_simple_signing(options_.signed_name, digest, *key_);
    if (!signature) {
        co_return fail(signature.error());
    }
    const auto existing = co_await existing_signatures(tag);
    if (!existing) {
        co_return fail(existing.error());
    }
    if (has_signature(*existing, signature->payload, key_->public_key())) {
        co_return Result<void>{};
    }
    auto documents = add_signature(*existing, *signature);
    if (!documents) {
        co_return fail(documents.error(), fmt::format("{}, tag {}", repository_, tag));
    }
    Document payload;
    payload.bytes = signature->payload;
    payload.digest = trust::sha256(as_byte_span(payload.bytes));
    auto done = co_await push_bytes(std::move(payload));
    if (done) {
        done = co_await push_bytes(std::move(documents->config));
    }
    if (done) {
        done = co_await put(tag, std::move(documents->manifest));
    }
    co_return done;
}

} // namespace

Result<LayerMediaType> parse_layer_media_type(std::string_view text)
{
    if (text == "erofs") {
        return LayerMediaType::kErofs;
    }
    if (text == "containerd-2.3") {
        return LayerMediaType::kContainerd23;
    }
    return fail(
        ErrorKind::kInvalid, fmt::format("media type \"{}\": must be erofs or containerd-2.3", printable(text))
    );
}

Result<void> check_architecture(std::string_view text)
{
    constexpr std::string_view kKnown[] = {
        "386",
        "amd64",
        "arm",
        "arm64",
        "loong64",
        "mips",
        "mips64",
        "mips64le",
        "mipsle",
        "ppc64",
        "ppc64le",
        "riscv64",
        "s390x",
        "sparc64"};
    constexpr std::pair<std::string_view, std::string_view> kOtherNames[] = {
        {"aarch64", "arm64"},
        {"armv7l", "arm"},
        {"i386", "386"},
        {"i686", "386"},
        {"loongarch64", "loong64"},
        {"x86-64", "amd64"},
        {"x86_64", "amd64"}};
    if (std::ranges::find(kKnown, text) != std::end(kKnown)) {
        return {};
    }
    std::string hint;
    for (const auto& [other, name] : kOtherNames) {
        hint = other == text ? fmt::format("; did you mean {}?", name) : hint;
    }
    return fail(
        ErrorKind::kInvalid,
        fmt::format("architecture '{}': must be amd64, arm64 or another of Go's names{}", printable(text), hint)
    );
}

Task<Result<PublishReport>> publish(PublishContext context, PublishOptions options, PublishProgress progress)
{
    Publisher publisher{context, std::move(options), std::move(progress)};
    auto report = co_await publisher.run();
    co_return report;
}

} // namespace sluice::tools
