// SPDX-License-Identifier: Apache-2.0
//
// The order matters where there are devices: a device's blob is sealed first, because its digest is the tag that the
// image's device table must hold before the image itself is hashed.
//
// Reproducible images from mkfs.erofs 1.5: files keep their times (-T would give all of them the same), and the time of
// the build, which the superblock holds, is set through $SOURCE_DATE_EPOCH to that of the newest file; the UUID follows
// from the content.
#include "tools/publish/packer.hpp"

#include "base/text.hpp"
#include "tools/publish/subprocess.hpp"
#include "tools/publish/unpack.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sluice::tools {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNoUuid = "-U00000000-0000-0000-0000-000000000000"; // finish_image() makes the real one

bool starts_with_any(const std::vector<std::string>& options, std::initializer_list<std::string_view> prefixes)
{
    return std::any_of(options.begin(), options.end(), [&](const std::string& option) {
        return std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view prefix) {
            return option.starts_with(prefix);
        });
    });
}

bool sets_uuid(const PublishOptions& options)
{
    return starts_with_any(options.mkfs_options, {"-U"});
}

bool changes_owners(const PublishOptions& options)
{
    return starts_with_any(options.mkfs_options, {"--all-root", "--force-uid"});
}

Result<void> check_directory(const fs::path& directory)
{
    std::error_code error;
    const auto status = fs::status(directory, error);
    if (error && error != std::errc::no_such_file_or_directory) {
        return fail_errno(error.value(), printable(directory.string()));
    }
    if (!fs::exists(status)) {
        return fail(ErrorKind::kNotFound, fmt::format("{}: no such directory", printable(directory.string())));
    }
    if (!fs::is_directory(status)) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: not a directory", printable(directory.string())));
    }
    return {};
}

std::vector<std::string> tar_arguments(const fs::path& tar, const fs::path& directory)
{
    return {
        "tar",
        "--force-local",
        "--extract",
        "--file",
        tar.string(),
        "--directory",
        directory.string(),
        "--numeric-owner",
        "--same-permissions",
        "--xattrs",
        "--xattrs-include=*",
        ::geteuid() == 0 ? "--same-owner" : "--no-same-owner"};
}

// Blocks: for workers. The unpacked tree made fit for mkfs.erofs; yields how many whiteouts there were.
Result<std::uint64_t> settle(const fs::path& directory, std::int64_t started)
{
    auto converted = convert_whiteouts(directory);
    if (!converted) {
        return converted;
    }
    if (auto settled = settle_directory_times(directory, started); !settled) {
        return fail(settled.error());
    }
    return converted;
}

Result<fs::path> make_root(const fs::path& directory)
{
    std::error_code error;
    fs::create_directory(directory, error);
    if (!error) { // the root of an image whose tar does not mention it
        fs::permissions(directory, fs::perms{0755}, error);
    }
    if (error) {
        return fail_errno(error.value(), directory.string());
    }
    return directory;
}

} // namespace

Result<void> check_mkfs_options(const PublishOptions& options)
{
    if (starts_with_any(options.mkfs_options, {"--blobdev", "--chunksize", "-z", "--tar", "--aufs"})) {
        return fail(
            ErrorKind::kInvalid,
            "--mkfs-opt: use --compress, --chunksize, --separate-data and --from-tar for -z, --chunksize, --blobdev, "
            "--tar and --aufs"
        );
    }
    if (options.separate_data && options.chunk_size == 0) {
        return fail(ErrorKind::kInvalid, "--separate-data needs --chunksize: files are put there in chunks");
    }
    if (options.chunk_size != 0 &&
        (options.chunk_size < kBlockSize || (options.chunk_size & (options.chunk_size - 1)) != 0)) {
        return fail(
            ErrorKind::kInvalid, fmt::format("--chunksize {}: must be a power of two, 4096 or more", options.chunk_size)
        );
    }
    if (options.chunk_size != 0 && !options.compression.empty()) {
        return fail(
            ErrorKind::kInvalid, "--chunksize and --compress exclude each other: files in chunks cannot be compressed"
        );
    }
    return {};
}

std::vector<std::string>
mkfs_arguments(const PublishOptions& options, const fs::path& image, const fs::path& device, const fs::path& directory)
{
    std::vector<std::string> argv{"mkfs.erofs", "--quiet"};
    if (!sets_uuid(options)) {
        argv.emplace_back(kNoUuid);
    }
    if (!options.compression.empty()) {
        argv.push_back("-z" + options.compression);
    }
    if (options.chunk_size != 0) {
        argv.push_back(fmt::format("--chunksize={}", options.chunk_size));
    }
    if (!device.empty()) {
        argv.push_back("--blobdev=" + device.string());
    }
    argv.insert(argv.end(), options.mkfs_options.begin(), options.mkfs_options.end());
    argv.emplace_back("--");
    argv.push_back(image.string());
    argv.push_back(directory.string());
    return argv;
}

Task<Result<PackedLayer>> Packer::pack(PublishInput input, unsigned number)
{
    if (input.kind != InputKind::kErofs && !input.devices.empty()) {
        co_return fail(
            ErrorKind::kInvalid,
            fmt::format("{}: devices only go with finished EROFS images", printable(input.path.string()))
        );
    }
    Result<Images> images = Images{};
    if (input.kind == InputKind::kTar) {
        images = co_await from_tar(fs::absolute(input.path), number);
    } else if (input.kind == InputKind::kDirectory) {
        images = co_await from_directory(fs::absolute(input.path), input.path.string(), number);
    } else {
        images = co_await from_erofs(input, number);
    }
    if (!images) {
        co_return fail(images.error());
    }
    auto sealed = co_await seal_all(std::move(*images), std::move(input), number);
    co_return sealed;
}

Task<Result<Packer::Images>> Packer::from_tar(fs::path tar, unsigned number)
{
    if (::geteuid() != 0 && !changes_owners(options_)) {
        co_return fail(
            ErrorKind::kUnsupported,
            fmt::format(
                "{}: only root can unpack a tar with its owners; run as root, or pass --all-root on to mkfs.erofs",
                printable(tar.string())
            )
        );
    }
    const auto directory = make_root(work_ / fmt::format("tree-{}", number));
    if (!directory) {
        co_return fail(directory.error());
    }
    const auto started = modified_at(*directory);
    if (!started) {
        co_return fail(started.error());
    }
    reporter_.report(fmt::format("unpack layer {}", number), 0, 0);
    std::vector<std::string> environment{"LC_ALL=C"};
    auto argv = tar_arguments(tar, *directory);
    const auto unpacked = co_await run_program(context_.loop, std::move(argv), std::move(environment));
    if (!unpacked) {
        co_return fail(unpacked.error(), printable(tar.string()));
    }
    auto job = [root = *directory, since = *started] { return settle(root, since); };
    const auto whiteouts = co_await context_.workers.run(context_.loop, std::move(job));
    if (!whiteouts) {
        co_return fail(whiteouts.error(), printable(tar.string()));
    }
    notes_.push_back(fmt::format(
        "layer {}: unpacked with tar(1), for mkfs.erofs 1.5 reads no tar files; {} whiteouts converted",
        number,
        *whiteouts
    ));
    auto images = co_await from_directory(*directory, tar.string(), number);
    auto cleanup = [root = *directory] {
        std::error_code ignored; // the whole temporary tree goes in the end
        return fs::remove_all(root, ignored);
    };
    (void)co_await context_.workers.run(context_.loop, std::move(cleanup));
    co_return images;
}

Task<Result<Packer::Images>> Packer::from_directory(fs::path directory, std::string name, unsigned number)
{
    if (auto checked = check_directory(directory); !checked) {
        co_return fail(checked.error());
    }
    reporter_.report(fmt::format("pack layer {}", number), 0, 0);
    Images images;
    images.image = work_ / fmt::format("layer-{}.erofs", number);
    images.keep_uuid = sets_uuid(options_);
    fs::path device;
    if (options_.separate_data) {
        device = work_ / fmt::format("layer-{}.data", number);
        images.devices.push_back(device);
    }
    std::vector<std::string> environment{"LC_ALL=C"};
    if (std::getenv("SOURCE_DATE_EPOCH") == nullptr) { // NOLINT(concurrency-mt-unsafe): nobody sets it
        auto job = [root = directory] { return newest_change(root); };
        const auto newest = co_await context_.workers.run(context_.loop, std::move(job));
        if (!newest) {
            co_return fail(newest.error());
        }
        environment.push_back(fmt::format("SOURCE_DATE_EPOCH={}", *newest));
    }
    auto argv = mkfs_arguments(options_, images.image, device, directory);
    const auto made = co_await run_program(context_.loop, std::move(argv), std::move(environment));
    if (!made && made.error().kind() == ErrorKind::kNotFound) {
        co_return fail(ErrorKind::kNotFound, "mkfs.erofs is not installed (Debian: apt install erofs-utils)");
    }
    if (!made) {
        co_return fail(made.error(), printable(name));
    }
    co_return images;
}

Task<Result<Packer::Images>> Packer::from_erofs(PublishInput input, unsigned number)
{
    Images images;
    images.image = work_ / fmt::format("layer-{}.erofs", number);
    images.keep_uuid = true;
    auto copied = co_await copy(input.path, images.image, number);
    for (std::size_t i = 0; copied && i < input.devices.size(); ++i) {
        images.devices.push_back(work_ / fmt::format("layer-{}.device-{}", number, i + 1));
        copied = co_await copy(input.devices[i], images.devices.back(), number);
    }
    if (!copied) {
        co_return fail(copied.error());
    }
    co_return images;
}

Task<Result<void>> Packer::copy(fs::path from, fs::path to, unsigned number)
{
    auto job = [from, to, reporter = reporter_.for_worker(fmt::format("copy layer {}", number))]() -> Result<void> {
        const auto copied = copy_to_blob_file(from, to, reporter);
        return copied ? Result<void>{} : fail(copied.error());
    };
    auto copied = co_await context_.workers.run(context_.loop, std::move(job));
    co_return copied;
}

Task<Result<BlobFile>> Packer::seal(fs::path file, std::string phase)
{
    auto job = [file, reporter = reporter_.for_worker(std::move(phase))]() -> Result<BlobFile> {
        auto fd = open_blob_file(file);
        if (!fd) {
            return fail(fd.error());
        }
        return seal_blob(std::move(*fd), reporter);
    };
    auto sealed = co_await context_.workers.run(context_.loop, std::move(job));
    co_return sealed;
}

Task<Result<PackedLayer>> Packer::seal_all(Images images, PublishInput input, unsigned number)
{
    PackedLayer layer;
    for (std::size_t i = 0; i < images.devices.size(); ++i) {
        auto device = co_await seal(images.devices[i], fmt::format("hash layer {}, device {}", number, i + 1));
        if (!device) {
            co_return fail(device.error());
        }
        device->name = (i < input.devices.size() ? input.devices[i] : images.devices[i]).string();
        layer.devices.push_back(std::move(*device));
    }
    auto job = [file = images.image, name = input.path.string(), devices = layer.devices, keep = images.keep_uuid](
               ) -> Result<std::string> {
        const auto fd = open_blob_file(file);
        return fd ? finish_image((*fd)->get(), name, devices, keep) : fail(fd.error());
    };
    const auto finished = co_await context_.workers.run(context_.loop, std::move(job));
    if (!finished) {
        co_return fail(finished.error());
    }
    if (!finished->empty()) {
        notes_.push_back(*finished);
    }
    auto image = co_await seal(images.image, fmt::format("hash layer {}", number));
    if (!image) {
        co_return fail(image.error());
    }
    layer.image = std::move(*image);
    co_return layer;
}

} // namespace sluice::tools
