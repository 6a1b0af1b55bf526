// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_images.hpp"

#include "base/text.hpp"
#include "trust/hasher.hpp"
#include "trust/merkle_builder.hpp"
#include "trust/simple_signing.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace sluice::test {

namespace {

constexpr std::size_t kSuperblock = 1024;
constexpr std::size_t kSlot = 128;      // bytes of a device slot
constexpr std::size_t kSlotBlocks = 64; // where in a slot its device's block count stands

void put_little_endian(std::string& out, std::size_t at, std::uint64_t value, std::size_t width)
{
    for (std::size_t i = 0; i < width; ++i) {
        out[at + i] = static_cast<char>(value >> (8 * i));
    }
}

std::string pattern(std::uint64_t blocks, unsigned char seed)
{
    std::string bytes(blocks * kBlockSize, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<char>(seed + 7 * i + (i >> 12));
    }
    return bytes;
}

Json descriptor(const std::string& type, const Digest& digest, std::size_t size)
{
    return {{"mediaType", type}, {"digest", digest.to_string()}, {"size", size}};
}

Json manifest_of(FakeImageSource& source, const std::vector<Json>& layers)
{
    const auto config = source.add_blob("{}");
    return {
        {"schemaVersion", 2},
        {"mediaType", fetcher::media_type::kOciManifest},
        {"config", descriptor("application/vnd.oci.image.config.v1+json", config, 2)},
        {"layers", layers},
    };
}

} // namespace

Digest FakeImageSource::add_manifest(
    const std::string& repository, const std::string& tag, std::string type, std::string bytes
)
{
    fetcher::RawManifest raw;
    raw.media_type = std::move(type);
    raw.digest = trust::sha256(as_byte_span(bytes));
    raw.bytes = std::move(bytes);
    const auto digest = raw.digest;
    if (!tag.empty()) {
        manifests_.insert_or_assign({repository, tag}, raw);
    }
    manifests_.insert_or_assign({repository, digest.to_string()}, std::move(raw));
    return digest;
}

Digest FakeImageSource::add_blob(std::string bytes)
{
    const auto digest = trust::sha256(as_byte_span(bytes));
    blobs_.insert_or_assign(digest, std::move(bytes));
    return digest;
}

void FakeImageSource::release()
{
    held_ = false;
    for (const auto& waiter : std::exchange(waiting_, {})) {
        waiter.set(true);
    }
}

std::size_t FakeImageSource::count_asked(std::string_view prefix) const
{
    return static_cast<std::size_t>(std::ranges::count_if(asked, [&](const std::string& what) {
        return what.starts_with(prefix);
    }));
}

std::optional<Error> FakeImageSource::ask(std::string what)
{
    asked.push_back(std::move(what));
    return fault ? fault(asked.back()) : std::nullopt;
}

Task<Result<void>>
FakeImageSource::fetch(fetcher::BlobLocation blob, ByteRange range, fetcher::ChunkSink& sink, fetcher::FetchTerms)
{
    struct Running {
        explicit Running(unsigned& count) : running{count} { ++running; }

        Running(const Running&) = delete;
        Running& operator=(const Running&) = delete;

        ~Running() { --running; }

        unsigned& running;
    };

    const Running counted{running};
    most_running = std::max(most_running, running);
    auto error = ask(fmt::format("range {} {}", blob.digest.to_string(), range.begin()));
    if (held_) {
        const OneShot<bool> released{loop_};
        waiting_.push_back(released.setter());
        (void)co_await released;
    }
    if (error) {
        co_return fail(std::move(*error));
    }
    const auto found = blobs_.find(blob.digest);
    if (found == blobs_.end()) {
        co_return fail(ErrorKind::kNotFound, fmt::format("blob {}: there is none", blob.digest.to_string()));
    }
    for (auto at = range.begin(); at < range.end();) {
        auto buffer = pool_.try_take();
        if (!buffer) {
            co_await sleep_for(loop_, milliseconds{1});
            continue;
        }
        const auto end = std::min((at / pool_.buffer_size() + 1) * pool_.buffer_size(), range.end());
        buffer->append(as_byte_span(found->second).subspan(at, end - at));
        if (tamper) {
            tamper(blob.digest, at, buffer->bytes());
        }
        sink.on_chunk(at, std::move(*buffer));
        at = end;
    }
    co_return Result<void>{};
}

Task<Result<fetcher::RawManifest>>
FakeImageSource::fetch_manifest(std::string repository, std::string tag_or_digest, Deadline)
{
    if (auto error = ask("manifest " + tag_or_digest)) {
        co_return fail(std::move(*error));
    }
    const auto found = manifests_.find({repository, tag_or_digest});
    if (found == manifests_.end()) {
        co_return fail(ErrorKind::kNotFound, fmt::format("{}: no manifest {}", repository, tag_or_digest));
    }
    co_return found->second;
}

Task<Result<std::string>> FakeImageSource::fetch_small_blob(fetcher::BlobLocation blob, std::size_t limit, Deadline)
{
    if (auto error = ask("blob " + blob.digest.to_string())) {
        co_return fail(std::move(*error));
    }
    const auto found = blobs_.find(blob.digest);
    if (found == blobs_.end()) {
        co_return fail(ErrorKind::kNotFound, fmt::format("blob {}: there is none", blob.digest.to_string()));
    }
    if (found->second.size() > limit) {
        co_return fail(ErrorKind::kInvalid, fmt::format("blob {}: too long", blob.digest.to_string()));
    }
    co_return found->second;
}

std::string ErofsBytes::bytes() const
{
    auto image = pattern(blocks, seed);
    std::memset(image.data() + kSuperblock, 0, 128);
    put_little_endian(image, kSuperblock, 0xE0F5E1E2, 4);
    put_little_endian(image, kSuperblock + 12, 12, 1);
    put_little_endian(image, kSuperblock + 36, blocks, 4);
    put_little_endian(image, kSuperblock + 80, (compressed ? 0x2U : 0U) | (devices.empty() ? 0U : 0x8U), 4);
    put_little_endian(image, kSuperblock + 86, devices.size(), 2);
    // In units of kSlot; in the first block it stands behind the superblock.
    const auto first_slot = table_block == 0 ? 12 : table_block * kBlockSize / kSlot;
    put_little_endian(image, kSuperblock + 88, devices.empty() ? 0 : first_slot, 2);
    for (std::size_t i = 0; i < devices.size(); ++i) {
        const auto slot = (first_slot + i) * kSlot;
        std::memset(image.data() + slot, 0, kSlot);
        put_little_endian(image, slot + kSlotBlocks, devices[i], 4);
    }
    return image;
}

std::string device_bytes(std::uint64_t blocks, unsigned char seed)
{
    return pattern(blocks, seed);
}

Json add_layer(FakeImageSource& source, const std::string& data, const std::string& role, std::optional<Digest> root)
{
    trust::MerkleBuilder builder;
    builder.update(as_byte_span(data));
    const auto tree = builder.finish();
    auto bytes = data;
    bytes.append(reinterpret_cast<const char*>(tree.bytes.data()), tree.bytes.size()); // NOLINT: bytes as text
    const auto size = bytes.size();
    const auto digest = source.add_blob(std::move(bytes));
    auto layer = descriptor(role == "device" ? "application/octet-stream" : "application/vnd.erofs", digest, size);
    layer["annotations"] = {
        {"org.erofs.dmverity.hash_offset", std::to_string(data.size())},
        {"org.erofs.dmverity.root_digest", (root ? *root : tree.root).to_string()},
        {"org.erofs.dmverity.block_size", "4096"},
    };
    if (!role.empty()) {
        layer["annotations"]["org.erofs.role"] = role;
    }
    return layer;
}

Digest add_image(
    FakeImageSource& source, const std::string& repository, const std::string& tag, const std::vector<Json>& layers
)
{
    return source.add_manifest(
        repository, tag, std::string{fetcher::media_type::kOciManifest}, manifest_of(source, layers).dump()
    );
}

Digest add_index(FakeImageSource& source, const std::string& repository, const std::string& tag, const Digest& manifest)
{
    const auto platform = fetcher::host_platform();
    auto entry = descriptor(std::string{fetcher::media_type::kOciManifest}, manifest, 1000);
    entry["platform"] = {{"os", platform.os}, {"architecture", platform.architecture}};
    const Json index{
        {"schemaVersion", 2},
        {"mediaType", fetcher::media_type::kOciIndex},
        {"manifests", std::vector{entry}},
    };
    return source.add_manifest(repository, tag, std::string{fetcher::media_type::kOciIndex}, index.dump());
}

void sign(
    FakeImageSource& source, const std::string& repository, const Digest& digest, std::string_view private_key_pem
)
{
    const auto key = trust::PrivateKey::parse(private_key_pem, "test");
    const auto signing = trust::make_simple_signing(repository, digest, *key);
    const auto size = signing->payload.size();
    const auto payload = source.add_blob(signing->payload);
    auto layer = descriptor(std::string{trust::kSimpleSigningMediaType}, payload, size);
    layer["annotations"][std::string{trust::kSimpleSigningAnnotation}] = signing->signature;
    source.add_manifest(
        repository,
        trust::signature_tag(digest),
        std::string{fetcher::media_type::kOciManifest},
        manifest_of(source, {layer}).dump()
    );
}

} // namespace sluice::test
