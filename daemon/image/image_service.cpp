// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/image_service.hpp"

#include "base/erofs.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/image/blob_records.hpp"
#include "daemon/image/image_evidence.hpp"
#include "daemon/image/image_verifier.hpp"
#include "fetcher/deadline_task.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <latch>
#include <set>
#include <utility>

namespace sluice::daemon {

namespace {

cache::LayerRecord to_record(const InspectedLayer& layer)
{
    cache::LayerRecord record;
    record.blob = to_record(layer.blob.blob->info());
    record.blob.compressed = layer.compressed;
    for (const auto& device : layer.devices) {
        record.devices.push_back(to_record(device.blob->info()));
    }
    return record;
}

/// Layers and devices.
void for_each_blob(const cache::ImageRecord& image, const std::function<void(const cache::BlobRecord&)>& take)
{
    for (const auto& layer : image.layers) {
        take(layer.blob);
        std::ranges::for_each(layer.devices, take);
    }
}

/// Many images are looked at by all workers at once, in pieces. Blocks: at start.
constexpr std::size_t kImagesAPiece = 16;

std::vector<Result<ReprovedImage>> reprove_all(
    WorkerPool& workers,
    const std::vector<cache::ImageRecord>& stored,
    const trust::KeyRing& keys,
    const fetcher::Platform& platform
)
{
    std::vector<Result<ReprovedImage>> proved(stored.size(), fail(ErrorKind::kInternal, "not looked at"));
    const auto pieces = (stored.size() + kImagesAPiece - 1) / kImagesAPiece;
    std::latch done{static_cast<std::ptrdiff_t>(pieces)};
    for (std::size_t piece = 0; piece < pieces; ++piece) {
        workers.submit([&, piece] {
            const auto end = std::min(stored.size(), (piece + 1) * kImagesAPiece);
            for (auto i = piece * kImagesAPiece; i < end; ++i) {
                proved[i] = reprove(stored[i], keys, platform);
            }
            done.count_down();
        });
    }
    done.wait();
    for (std::size_t i = 0; i < stored.size(); ++i) {
        if (!proved[i] && proved[i].error().kind() != ErrorKind::kNotFound) {
            log::warning("{} is not served: {}", stored[i].reference, proved[i].error().text());
        }
    }
    return proved;
}

} // namespace

ImageService::ImageService(Parts parts, Options options)
    : parts_{parts}, options_{std::move(options)}, registering_{parts.loop}, completing_{parts.loop}
{}

Result<void> ImageService::load()
{
    auto stored = parts_.store.load_images();
    if (!stored) {
        return fail(stored.error());
    }
    std::size_t unsigned_ones = 0;
    auto proved = reprove_all(parts_.workers, *stored, parts_.keys, options_.platform);
    // The latest registration comes last: its repository is asked first.
    std::ranges::stable_sort(proved, {}, [](const auto& image) {
        return image ? image->record.verified_at : cache::WallTime{};
    });
    for (auto& image : proved) {
        if (!image) {
            unsigned_ones += image.error().kind() == ErrorKind::kNotFound ? 1U : 0U;
            continue;
        }
        if (image->was_altered) {
            log::warning(
                "{}: its rows in the database are not what its signed manifest says; the manifest is followed",
                image->record.reference
            );
        }
        add_to_catalogue(image->record);
        auto name = image->record.reference;
        images_.emplace(std::move(name), std::move(image->record));
    }
    if (unsigned_ones > 0) {
        log::warning(
            "{} images were stored by an earlier version, without their signatures: each is fetched and verified again "
            "when it is mounted next",
            unsigned_ones
        );
    }
    sweep_trees();
    return {};
}

void ImageService::add_to_catalogue(const cache::ImageRecord& image)
{
    for (const auto& layer : image.layers) {
        for (auto& blob : blobs_of(layer, image.repository)) {
            const auto& entry = parts_.catalogue.add(std::move(blob));
            if (const auto used = parts_.blobs.find(identity_of(entry.info))) {
                used->set_repositories(entry.info.repositories);
            }
        }
    }
}

void ImageService::drop_unused(const cache::ImageRecord& old)
{
    std::set<Digest> unused;
    for_each_blob(old, [&](const cache::BlobRecord& blob) { unused.insert(identity_of(blob)); });
    for (const auto& [name, image] : images_) {
        for_each_blob(image, [&](const cache::BlobRecord& blob) { unused.erase(identity_of(blob)); });
    }
    for (const auto& identity : unused) {
        parts_.catalogue.remove(identity);
    }
    if (!unused.empty()) {
        sweep_trees();
    }
}

void ImageService::sweep_trees()
{
    if (parts_.trees == nullptr) {
        return;
    }
    std::set<Digest> kept;
    for (const auto& [identity, entry] : parts_.catalogue.entries()) {
        kept.insert(identity);
    }
    auto job = [trees = parts_.trees, keep = std::move(kept)] {
        if (const auto removed = trees->remove_others(keep); !removed) {
            log::warning("{}", removed.error().text());
        }
    };
    parts_.workers.submit(std::move(job), Urgency::kBackground);
}

Task<Result<cache::ImageRecord>> ImageService::ensure(Request request)
{
    const auto reference = fetcher::Reference::parse(request.reference);
    if (!reference) {
        co_return fail(reference.error());
    }
    const auto name = reference->to_string();
    const auto known = images_.find(name);
    if (known != images_.end() && !request.refresh) {
        auto image = known->second;
        auto completed = co_await complete(std::move(image), std::move(request));
        co_return completed;
    }
    auto start = [this, name] { return register_image(name); };
    auto registered = co_await registering_.run(name, std::move(start));
    if (!registered) {
        co_return fail(registered.error(), name);
    }
    auto completed = co_await complete(std::move(*registered), std::move(request));
    co_return completed;
}

Task<Result<cache::ImageRecord>> ImageService::examine(std::string reference, Deadline deadline)
{
    auto parsed = fetcher::Reference::parse(reference);
    if (!parsed) {
        co_return fail(parsed.error());
    }
    auto& source = parts_.sources(parsed->repository.to_string());
    const auto resolved = co_await source.resolve(*parsed, options_.platform, deadline);
    if (!resolved) {
        co_return fail(resolved.error());
    }
    const auto verified = co_await verify_image(source, parts_.keys, *resolved, deadline);
    if (!verified) {
        co_return fail(verified.error());
    }
    const auto plan = plan_image(*resolved);
    if (!plan) {
        co_return fail(plan.error());
    }
    auto layers = co_await inspect_layers(parts_.loop, parts_.blobs, *plan);
    if (!layers) {
        co_return fail(layers.error());
    }

    cache::ImageRecord image;
    image.reference = reference;
    image.repository = resolved->repository;
    image.manifest_digest = resolved->digest;
    image.index_digest = resolved->index_digest;
    image.signer_key = verified->by.key_id.to_string();
    image.signer_name = verified->by.key_name;
    image.verified_at = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
    image.evidence = evidence_of(*resolved, *verified);
    for (const auto& layer : *layers) {
        image.layers.push_back(to_record(layer));
    }
    co_return image;
}

Task<Result<cache::ImageRecord>> ImageService::register_image(std::string reference)
{
    const auto deadline = Deadline::after(options_.deadline);
    auto examining = examine(reference, deadline);
    std::string what = "registering the image";
    auto examined = co_await fetcher::with_deadline(parts_.loop, std::move(examining), deadline, std::move(what));
    if (!examined) {
        log::warning("{} is not registered: {}", reference, examined.error().text());
        co_return fail(examined.error());
    }
    auto image = std::move(*examined);
    // Nothing is served that a restart would forget: the database first.
    auto stored = co_await parts_.store.put_image(image);
    if (!stored) {
        log::error("{} is not registered: {}", reference, stored.error().text());
        co_return fail(stored.error());
    }
    add_to_catalogue(image);
    log::info("registered {} ({}, signed by {})", reference, image.manifest_digest.to_string(), image.signer_name);
    image.evidence = {};
    const auto old = std::exchange(images_[reference], image);
    drop_unused(old);
    co_return image;
}

Task<Result<cache::ImageRecord>> ImageService::complete(cache::ImageRecord image, Request request)
{
    const auto now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
    for (auto& layer : image.layers) {
        parts_.store.touch(layer.blob.key(), now);
        bool compressed = false;
        if (options_.needs_complete) {
            const auto looked = co_await is_compressed(layer);
            if (!looked) {
                co_return fail(
                    looked.error(), fmt::format("{}: layer {}", image.reference, layer.blob.digest.to_string())
                );
            }
            compressed = *looked;
            layer.blob.compressed = compressed;
        }
        if (compressed && (request.lazy_only || options_.lazy_only)) {
            co_return fail(
                ErrorKind::kUnsupported,
                fmt::format(
                    "{}: layer {} is compressed, and kernels with cachefiles cannot read such images safely while "
                    "parts of "
                    "them are missing; it would have to be downloaded whole first, which lazy-only forbids",
                    image.reference,
                    layer.blob.digest.to_string()
                )
            );
        }
        if (compressed || request.complete) {
            const auto completed = co_await complete_layer(image.reference, image.repository, layer);
            if (!completed) {
                co_return fail(completed.error());
            }
        }
    }
    co_return image;
}

Task<Result<void>> ImageService::complete_layer(std::string reference, std::string repository, cache::LayerRecord layer)
{
    for (auto& blob : blobs_of(layer, repository)) {
        const auto identity = identity_of(blob);
        auto* entry = parts_.catalogue.find(identity);
        if (entry == nullptr) {
            co_return fail(ErrorKind::kNotFound, fmt::format("{}: was forgotten meanwhile", reference));
        }
        entry->info.compressed = entry->info.compressed || layer.blob.compressed;
        auto start = [this, identity] { return complete_blob(identity); };
        auto completed = co_await completing_.run(identity, std::move(start));
        if (!completed) {
            co_return fail(
                completed.error(), fmt::format("{}: cannot complete blob {}", reference, blob.digest.to_string())
            );
        }
    }
    co_return Result<void>{};
}

Task<Result<bool>> ImageService::is_compressed(cache::LayerRecord layer)
{
    const auto* entry = parts_.catalogue.find(identity_of(layer.blob));
    if (layer.blob.compressed || entry == nullptr) {
        co_return layer.blob.compressed;
    }
    const auto blob = parts_.blobs.use(entry->info);
    if (!blob) {
        co_return fail(blob.error());
    }
    const ByteRange first{0, kBlockSize};
    const auto block = co_await (*blob)->proved_bytes(first);
    if (!block) {
        co_return fail(block.error());
    }
    const auto superblock = erofs::parse_superblock(*block);
    if (!superblock) {
        co_return fail(superblock.error());
    }
    co_return superblock->compressed;
}

Task<Result<void>> ImageService::complete_blob(Digest identity)
{
    const auto blob = parts_.blobs.use(parts_.catalogue.find(identity)->info);
    if (!blob) {
        co_return fail(blob.error());
    }
    auto completed = co_await (*blob)->complete();
    co_return completed;
}

Task<Result<void>> ImageService::forget(std::string reference)
{
    const auto parsed = fetcher::Reference::parse(reference);
    if (!parsed) {
        co_return fail(parsed.error());
    }
    const auto name = parsed->to_string();
    auto removed = co_await parts_.store.remove_image(name);
    if (!removed) {
        co_return fail(removed.error());
    }
    const auto known = images_.extract(name);
    if (known.empty() && !*removed) {
        co_return fail(ErrorKind::kNotFound, fmt::format("no image \"{}\" is registered", name));
    }
    if (!known.empty()) {
        drop_unused(known.mapped());
    }
    co_return Result<void>{};
}

} // namespace sluice::daemon
