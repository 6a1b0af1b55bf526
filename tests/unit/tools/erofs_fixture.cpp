// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/tools/erofs_fixture.hpp"

#include "tools/fs_context.hpp"
#include "tools/layer_usage.hpp"
#include "tools/mount_table.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <sys/mount.h>

namespace sluice::test {

namespace {

Result<UniqueFd> mount_file(const std::string& file)
{
    auto context = tools::FsContext::open("erofs");
    if (!context) {
        return fail(context.error());
    }
    if (auto set = context->set_string("source", file); !set) {
        return fail(set.error());
    }
    if (auto set = context->set_flag("ro"); !set) {
        return fail(set.error());
    }
    if (auto created = context->create(); !created) {
        return fail(created.error());
    }
    return context->mount(MOUNT_ATTR_RDONLY);
}

void make_image(const std::string& file, const std::string& tree)
{
    const auto command = fmt::format("mkfs.erofs --quiet {} {} >/dev/null 2>&1", file, tree);
    if (std::system(command.c_str()) != 0) { // NOLINT(concurrency-mt-unsafe): before any thread
        throw std::runtime_error{"mkfs.erofs cannot make " + file};
    }
}

} // namespace

Result<UniqueFd> FileLayerMounter::mount(const tools::LayerSpec& layer)
{
    ++mounts_;
    const auto found = files_.find(layer.mount_name);
    if (found == files_.end()) {
        return fail_errno(EIO, "no such blob");
    }
    return mount_file(found->second);
}

bool FileLayerMounter::is_current(const tools::LayerSpec& layer, const tools::MountEntry& mount) const
{
    const auto found = files_.find(layer.mount_name);
    return found != files_.end() && found->second == mount.source;
}

void MountingTest::SetUp()
{
    if (::geteuid() != 0) {
        GTEST_SKIP() << "mounting needs root";
    }
    temp_ = std::make_unique<TempDir>();
    const auto probe = make_layer("probe", "file", "probe");
    const auto mounted = mount_file((temp_->path() / "probe.erofs").string());
    if (!mounted) {
        GTEST_SKIP() << "this kernel does not mount EROFS from files: " << mounted.error().text();
    }
}

void MountingTest::TearDown()
{
    if (!temp_) {
        return;
    }
    const auto table = tools::read_mount_table();
    ASSERT_TRUE(table);
    for (auto entry = table->rbegin(); entry != table->rend(); ++entry) {
        if (entry->mount_point.starts_with(temp_->path().string())) {
            (void)::umount2(entry->mount_point.c_str(), MNT_DETACH);
        }
    }
}

tools::LayerSpec MountingTest::make_layer(const std::string& name, const std::string& file, std::string_view content)
{
    const auto tree = temp_->path() / ("tree-" + name);
    (void)temp_->write(std::filesystem::path{"tree-" + name} / file, content);
    const auto blob = (temp_->path() / (name + ".erofs")).string();
    make_image(blob, tree.string());
    mounter_.add(name, blob);
    tools::LayerSpec layer;
    layer.digest = "sha256:" + name;
    layer.fsid = name;
    layer.mount_name = name;
    return layer;
}

std::vector<tools::LayerSpec> MountingTest::restart(std::vector<tools::LayerSpec> layers, const std::string& name)
{
    const auto dir = temp_->path() / name;
    std::filesystem::create_directory(dir);
    for (auto& layer : layers) {
        layer.blobs_dir = dir.string();
        std::filesystem::copy_file(temp_->path() / (layer.fsid + ".erofs"), dir / layer.fsid);
        mounter_.add(layer.mount_name, (dir / layer.fsid).string());
    }
    return layers;
}

tools::ImageSpec MountingTest::image(std::vector<tools::LayerSpec> layers)
{
    tools::ImageSpec image;
    image.reference = "registry.example/app:1";
    image.layers = std::move(layers);
    return image;
}

std::string MountingTest::make_target(const std::string& name) const
{
    const auto path = temp_->path() / "targets" / name;
    std::filesystem::create_directories(path);
    return path.string();
}

std::vector<std::string> MountingTest::mounted_layers() const
{
    std::vector<std::string> names;
    const auto table = tools::read_mount_table();
    if (!table) {
        throw std::runtime_error{table.error().text()};
    }
    for (const auto& entry : *table) {
        if (const auto name = tools::layer_name(layers_dir(), entry.mount_point); !name.empty()) {
            names.emplace_back(name);
        }
    }
    std::sort(names.begin(), names.end());
    return names;
}

std::vector<std::string> MountingTest::layer_directories() const
{
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{layers_dir()}) {
        if (entry.is_directory()) {
            names.push_back(entry.path().filename().string());
        }
    }
    std::sort(names.begin(), names.end());
    return names;
}

tools::LayerMounts MountingTest::open_layers() const
{
    auto layers = tools::LayerMounts::open(layers_dir());
    if (!layers) {
        throw std::runtime_error{layers.error().text()};
    }
    return *layers;
}

std::string read_file(const std::string& path)
{
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
}

} // namespace sluice::test
