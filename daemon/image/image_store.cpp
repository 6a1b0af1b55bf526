// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/image_store.hpp"

#include "base/log.hpp"

namespace sluice::daemon {

namespace {

/// A crash loses the access times of this span, which only culling looks at.
constexpr milliseconds kFlushEvery{10'000};

} // namespace

Result<std::unique_ptr<ImageStore>> ImageStore::open(EventLoop& loop, const std::filesystem::path& file)
{
    auto opened = cache::MetadataStore::open(file);
    if (!opened) {
        return fail(opened.error());
    }
    if (opened->moved_aside) {
        log::error(
            "{} was damaged ({}) and lies now at {}; images have to be registered again, cached data is kept",
            file.string(),
            opened->damage,
            opened->moved_aside->string()
        );
    }
    return std::make_unique<ImageStore>(loop, std::move(opened->store));
}

ImageStore::ImageStore(EventLoop& loop, cache::MetadataStore store)
    : loop_{loop}, store_{std::move(store)}, flush_{loop, [this] { flush_touches(); }, "image store: flush"}
{}

Result<std::vector<cache::ImageRecord>> ImageStore::load_images()
{
    return store_.find_images();
}

Task<Result<void>> ImageStore::put_image(cache::ImageRecord image)
{
    auto job = [this, record = std::move(image)] { return store_.put_image(record); };
    auto outcome = co_await thread_.run(loop_, std::move(job));
    co_return outcome;
}

Task<Result<bool>> ImageStore::remove_image(std::string reference)
{
    auto job = [this, name = std::move(reference)] { return store_.remove_image(name); };
    auto outcome = co_await thread_.run(loop_, std::move(job));
    co_return outcome;
}

ImageStore::~ImageStore()
{
    if (!touches_.empty()) {
        flush_touches();
    }
}

void ImageStore::touch(const cache::BlobKey& blob, cache::WallTime at)
{
    if (touches_.empty()) {
        flush_.arm(kFlushEvery);
    }
    touches_.push_back({blob, at});
}

void ImageStore::flush_touches()
{
    thread_.submit([this, batch = std::exchange(touches_, {})] {
        if (const auto done = store_.touch_blobs(batch); !done) {
            log::warning("{}", done.error().text());
        }
    });
}

} // namespace sluice::daemon
